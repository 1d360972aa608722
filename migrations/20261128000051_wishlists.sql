-- What accounts wish for.

create table wishlist_items (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  product_id uuid not null references products,
  -- One of the product's, if the shopper chose it already.
  variant_id uuid references variants,
  added_at timestamptz not null,
  constraint wishlist_items_once unique nulls not distinct (user_id, product_id, variant_id)
);
create index wishlist_items_of_user on wishlist_items (user_id, added_at desc, id desc);
create trigger wishlist_items_of_live_accounts before insert on wishlist_items
  for each row execute function refuse_gone_account();
