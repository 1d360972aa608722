-- Who wants to hear when a variant can be bought again. A row goes when its mail is written.
create table back_in_stock_requests (
  id uuid primary key,
  variant_id uuid not null references variants,
  email text not null constraint back_in_stock_email_is_lower_case check (email = lower(email) and length(email) <= 254),
  user_id uuid references users on delete cascade,
  created_at timestamptz not null,
  constraint back_in_stock_once unique (variant_id, email)
);
create index back_in_stock_requests_email on back_in_stock_requests (email);
create index back_in_stock_requests_user_id on back_in_stock_requests (user_id) where user_id is not null;
create index back_in_stock_requests_created_at on back_in_stock_requests (created_at);
create trigger back_in_stock_requests_of_live_accounts before insert on back_in_stock_requests
  for each row when (new.user_id is not null) execute function refuse_gone_account();
