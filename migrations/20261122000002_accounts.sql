create table users (
  id uuid primary key,
  email text not null constraint users_email_key unique
    constraint users_email_is_lower_case check (email = lower(email) and length(email) between 3 and 254),
  email_verified_at timestamptz,
  password_hash text not null,
  name text not null check (length(name) between 1 and 120),
  -- E.164, for example +2348031234567
  phone text check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  role text not null default 'customer'
    check (role in ('customer', 'admin', 'merchant', 'fulfilment', 'finance')),
  -- Wrong passwords since the last success; a lock begins at the configured count.
  failed_logins int not null default 0 check (failed_logins >= 0),
  locked_until timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- A session is one sign-in on one device: the family of all refresh tokens that follow from it.
create table sessions (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  ip text,
  user_agent text,
  created_at timestamptz not null,
  last_used_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text check (revoked_reason in ('logout', 'reuse_detected', 'password_changed', 'role_changed', 'revoked')),
  check ((revoked_at is null) = (revoked_reason is null))
);
create index sessions_user_id on sessions (user_id) where revoked_at is null;

create table refresh_tokens (
  -- SHA-256 of the token; the token itself is never stored.
  token_hash bytea primary key check (length(token_hash) = 32),
  session_id uuid not null references sessions on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  -- Set when the token is exchanged. A second exchange after the grace period revokes the session.
  used_at timestamptz
);
create index refresh_tokens_session_id on refresh_tokens (session_id);

-- Single-use links sent by mail.
create table email_tokens (
  token_hash bytea primary key check (length(token_hash) = 32),
  user_id uuid not null references users on delete cascade,
  purpose text not null check (purpose in ('verify_email', 'reset_password')),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index email_tokens_user_id on email_tokens (user_id);

create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  actor_id uuid,
  actor_role text,
  action text not null,
  entity text not null,
  entity_id text,
  before jsonb,
  after jsonb,
  ip text,
  user_agent text,
  request_id text
);
create index audit_log_entity on audit_log (entity, entity_id, id);
create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function refuse_change();

-- Answers to requests that carried an Idempotency-Key, written in the transaction of their effect.
create table idempotency_keys (
  caller text not null,
  route text not null,
  key text not null check (length(key) between 1 and 255),
  -- SHA-256 of the request body.
  fingerprint bytea not null check (length(fingerprint) = 32),
  status smallint not null check (status between 200 and 299),
  -- Text, so that the repeated answer is the first one byte for byte.
  body text not null,
  expires_at timestamptz not null,
  primary key (caller, route, key)
);
create index idempotency_keys_expires_at on idempotency_keys (expires_at);
