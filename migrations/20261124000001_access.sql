-- Two-factor sign-in, suspended and erased accounts, the address book, the consent log.

alter table users
  -- AES-256-GCM under the key of the configuration: nonce, ciphertext, tag. Set up first, in force from totp_enabled_at on.
  add column totp_secret bytea,
  add column totp_enabled_at timestamptz,
  -- The time step of the last code that was accepted: RFC 6238 (5.2) wants no code accepted twice.
  add column totp_last_step bigint,
  add column suspended_at timestamptz,
  add column suspended_reason text check (length(suspended_reason) between 1 and 500),
  -- The person is gone; the row stays because orders name it.
  add column erased_at timestamptz,
  add column last_seen_at timestamptz,
  add constraint users_totp_has_secret check (totp_enabled_at is null or totp_secret is not null),
  add constraint users_suspended_has_reason check ((suspended_at is null) = (suspended_reason is null));
create index users_created_at on users (created_at desc, id desc);
create index users_search on users using gin (fold(name || ' ' || email || ' ' || coalesce(phone, '')) gin_trgm_ops);

-- What `like` finds a text with, wherever it stands and however it is written. The text is not a pattern itself.
create function containing(text) returns text language sql immutable strict as $$
  select '%' || replace(replace(replace(fold($1), '\', '\\'), '%', '\%'), '_', '\_') || '%'
$$;

alter table sessions
  -- Whether the second factor was shown in this session.
  add column two_factor boolean not null default false,
  drop constraint sessions_revoked_reason_check,
  add constraint sessions_revoked_reason_check check (revoked_reason in
    ('logout', 'reuse_detected', 'password_changed', 'role_changed', 'revoked', 'suspended', 'two_factor_reset'));
create index sessions_expires_at on sessions (expires_at);
create index sessions_revoked_at on sessions (revoked_at) where revoked_at is not null;
create index refresh_tokens_expires_at on refresh_tokens (expires_at);

create table recovery_codes (
  user_id uuid not null references users on delete cascade,
  -- SHA-256 of a code of 80 random bits.
  code_hash bytea not null check (length(code_hash) = 32),
  used_at timestamptz,
  primary key (user_id, code_hash)
);

-- A right password that waits for its second factor.
create table login_challenges (
  token_hash bytea primary key check (length(token_hash) = 32),
  user_id uuid not null references users on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  attempts int not null default 0,
  used_at timestamptz
);
create index login_challenges_user_id on login_challenges (user_id);
create index login_challenges_expires_at on login_challenges (expires_at);
create index email_tokens_expires_at on email_tokens (expires_at);

create table user_addresses (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  label text not null check (length(label) between 1 and 40),
  -- The shape of an order's shipping address.
  address jsonb not null check (jsonb_typeof(address) = 'object'),
  is_default boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index user_addresses_user_id on user_addresses (user_id, created_at, id);
create unique index user_addresses_one_default on user_addresses (user_id) where is_default;

-- Every answer a person gave, of which the last of a kind counts.
create table consents (
  id uuid primary key,
  user_id uuid references users on delete cascade,
  -- A visitor without an account, by an id that the storefront made.
  visitor_id uuid,
  kind text not null check (kind in ('marketing', 'analytics', 'cookies')),
  granted boolean not null,
  -- What the person was shown, such as the version of a policy.
  wording text not null check (length(wording) between 1 and 200),
  at timestamptz not null,
  constraint consents_one_person check ((user_id is null) <> (visitor_id is null))
);
create index consents_user_id on consents (user_id, kind, at desc, id desc) where user_id is not null;
create index consents_visitor_id on consents (visitor_id, kind, at desc, id desc) where visitor_id is not null;
create trigger consents_only_grow before update or truncate on consents
  for each statement execute function refuse_change();

-- Erasing a person takes the words from his orders' timelines; nothing else of an event ever changes. The transaction says
-- that it erases: set_config('agape.erasing', 'on', true).
create function refuse_change_but_erased_note() returns trigger language plpgsql as $$
begin
  if current_setting('agape.erasing', true) = 'on' and new.note is null
     and to_jsonb(new) - 'note' = to_jsonb(old) - 'note' then
    return new;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
drop trigger order_events_append_only on order_events;
create trigger order_events_append_only before delete or truncate on order_events
  for each statement execute function refuse_change();
create trigger order_events_unchanged before update on order_events
  for each row execute function refuse_change_but_erased_note();

-- What erasing looks for.
create index emails_user_id on emails (user_id) where user_id is not null;
create index emails_recipient on emails (recipient);
create index payments_user_id on payments (user_id) where user_id is not null;
create index orders_email on orders (email);
create index emails_order_id on emails (order_id) where order_id is not null;
create index sessions_of_user on sessions (user_id);
create index carts_user_id on carts (user_id) where user_id is not null;
-- What the sweep looks for each minute.
create index emails_queued on emails (created_at) where status = 'queued';
create index emails_with_links on emails (kind, created_at) where html <> '';
