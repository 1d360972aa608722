-- Reminders of carts that were left, and the way out of such mails.

alter table carts
  -- When its owner was reminded of what is in it. Empty again with the first line after the cart was emptied.
  add column reminded_at timestamptz;
create index carts_to_remind on carts (updated_at, id)
  where status = 'open' and user_id is not null and reminded_at is null;

alter table emails
  -- Where one click takes the consent back (RFC 8058); only for mails that need one.
  add column unsubscribe_url text;
