-- An erased account gets nothing more, and what was bought as a guest belongs to whoever has proven both halves.

alter table users
  -- When it was shown that whoever knows the password also reads the mailbox: the address was confirmed by somebody who was
  -- signed in, or the password was set through a mail. Before that, the two may be different persons.
  add column owner_proven_at timestamptz;

-- Refuses to write for an account that was erased. The row of the account stays locked against its erasure until the
-- transaction ends: whichever of the two comes first, the erasure sees all there is, and nothing comes after it.
create function refuse_gone_account() returns trigger language plpgsql as $$
begin
  perform from users where id = new.user_id and erased_at is null for share;
  if not found then
    raise exception 'the account % is gone', new.user_id
      using errcode = 'foreign_key_violation', table = tg_table_name, constraint = tg_table_name || '_user_id_fkey';
  end if;
  return new;
end $$;
create trigger sessions_of_live_accounts before insert on sessions
  for each row execute function refuse_gone_account();
create trigger email_tokens_of_live_accounts before insert on email_tokens
  for each row execute function refuse_gone_account();
create trigger login_challenges_of_live_accounts before insert on login_challenges
  for each row execute function refuse_gone_account();
create trigger user_addresses_of_live_accounts before insert on user_addresses
  for each row execute function refuse_gone_account();
create trigger consents_of_live_accounts before insert on consents
  for each row when (new.user_id is not null) execute function refuse_gone_account();
create trigger carts_of_live_accounts before insert or update of user_id on carts
  for each row when (new.user_id is not null) execute function refuse_gone_account();
create trigger orders_of_live_accounts before insert on orders
  for each row when (new.user_id is not null) execute function refuse_gone_account();

-- What the daily clean-up looks for.
create index consents_of_visitors on consents (at) where visitor_id is not null;
