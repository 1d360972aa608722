-- Coupons: codes that take something off an order, and who has used them.

create table coupons (
  id uuid primary key,
  -- In upper case, so that a code is one however it is typed; compared byte by byte, so that its beginning is found by the index.
  code text collate "C" not null constraint coupons_code_form check (code ~ '^[A-Z0-9_-]{3,40}$'),
  -- For staff only.
  description text not null default '' constraint coupons_description_length check (length(description) <= 500),
  kind text not null constraint coupons_kind check (kind in ('fixed', 'percentage', 'free_shipping')),
  -- What a fixed one takes off.
  amount_minor bigint,
  -- What share a percentage takes off, and at most how much.
  rate_basis_points int,
  max_discount_minor bigint,
  -- Of all goods of the order, whatever the coupon is for.
  min_subtotal_minor bigint constraint coupons_min_subtotal check (min_subtotal_minor between 1 and 1000000000000),
  -- From this moment on, and before that one.
  starts_at timestamptz,
  ends_at timestamptz,
  usage_limit int constraint coupons_usage_limit check (usage_limit between 1 and 1000000000),
  per_customer_limit int constraint coupons_per_customer_limit check (per_customer_limit between 1 and 1000000000),
  first_order_only boolean not null default false,
  is_active boolean not null default true,
  -- Whether it is for some goods only. A scope whose last category was removed is for nothing, not for everything.
  is_scoped boolean not null default false,
  -- Kept by the triggers of coupon_redemptions: uses that were not returned, those of them beyond the limit, and what they took off.
  used_count int not null default 0 constraint coupons_used_not_negative check (used_count >= 0),
  late_count int not null default 0 constraint coupons_late_not_negative check (late_count >= 0),
  discount_total_minor bigint not null default 0 constraint coupons_total_not_negative check (discount_total_minor >= 0),
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  constraint coupons_worth_fits_kind check (case kind
    when 'fixed' then num_nulls(rate_basis_points, max_discount_minor) = 2
      and amount_minor is not null and amount_minor between 1 and 1000000000000
    when 'percentage' then amount_minor is null and rate_basis_points is not null
      and rate_basis_points between 1 and 10000 and coalesce(max_discount_minor, 1) between 1 and 1000000000000
    else num_nulls(amount_minor, rate_basis_points, max_discount_minor) = 3 end),
  constraint coupons_ends_after_start check (ends_at > starts_at),
  constraint coupons_used_within_limit check (used_count <= usage_limit + late_count),
  constraint coupons_archived_is_inactive check (archived_at is null or not is_active)
);
-- The code of an archived coupon may be given to a new one.
create unique index coupons_code_key on coupons (code) where archived_at is null;

-- What a scoped coupon is for: products, and all in a category or below it.
create table coupon_products (
  coupon_id uuid not null references coupons on delete cascade,
  product_id uuid not null references products on delete cascade,
  primary key (coupon_id, product_id)
);
create index coupon_products_product_id on coupon_products (product_id);

create table coupon_categories (
  coupon_id uuid not null references coupons on delete cascade,
  category_id uuid not null references categories on delete cascade,
  primary key (coupon_id, category_id)
);
create index coupon_categories_category_id on coupon_categories (category_id);

create table coupon_redemptions (
  -- An order has one coupon. Its use is written before the order, in the same transaction.
  order_id uuid primary key references orders deferrable initially deferred,
  coupon_id uuid not null references coupons,
  -- By which version of the coupon the discount was calculated.
  coupon_version int not null,
  -- SHA-256 of the buyer's e-mail address; null once he is erased.
  customer bytea constraint coupon_redemptions_customer check (length(customer) = 32),
  discount_minor bigint not null constraint coupon_redemptions_discount check (discount_minor >= 0),
  redeemed_at timestamptz not null,
  -- When the order was given up, and the use with it.
  returned_at timestamptz
);
create index coupon_redemptions_of_coupon on coupon_redemptions (coupon_id, order_id);
create index coupon_redemptions_of_customer on coupon_redemptions (coupon_id, customer) where returned_at is null;

-- A use is written only where the coupon still is as it was read and its limits allow it; another one is left out, and the `returning`
-- of the statement tells which were written. The coupon's row is locked first: what comes after the lock sees what its last
-- holders have committed, and the rows before it in the same statement.
create function redeem_coupon() returns trigger language plpgsql as $$
declare
  coupon coupons;
  most int;
begin
  select * into coupon from coupons where id = new.coupon_id for no key update;
  -- A customer has one first order.
  most := least(coupon.per_customer_limit, case when coupon.first_order_only then 1 end);
  if coupon.version is distinct from new.coupon_version or coupon.used_count >= coupon.usage_limit then
    return null;
  end if;
  if most is not null and (new.customer is null or most <= (
       select count(*) from coupon_redemptions
       where coupon_id = new.coupon_id and customer = new.customer and returned_at is null)) then
    return null;
  end if;
  update coupons set used_count = used_count + 1, discount_total_minor = discount_total_minor + new.discount_minor
  where id = new.coupon_id;
  return new;
end $$;
create trigger coupon_redemptions_within_limits before insert on coupon_redemptions
  for each row execute function redeem_coupon();

-- A use that is returned, or taken back, is free for others. One that counts again, because its order was paid after all, counts
-- whatever the limit is: the price that was promised and paid is kept.
create function count_coupon_use() returns trigger language plpgsql as $$
begin
  if old.returned_at is null then
    if tg_op = 'UPDATE' and new.returned_at is null then
      return null;
    end if;
    update coupons
    set used_count = used_count - 1, late_count = greatest(late_count - 1, 0),
        discount_total_minor = discount_total_minor - old.discount_minor
    where id = old.coupon_id;
  elsif tg_op = 'UPDATE' and new.returned_at is null then
    update coupons
    set used_count = used_count + 1, late_count = late_count + case when used_count >= usage_limit then 1 else 0 end,
        discount_total_minor = discount_total_minor + new.discount_minor
    where id = new.coupon_id;
  end if;
  return null;
end $$;
create trigger coupon_redemptions_counted after update of returned_at or delete on coupon_redemptions
  for each row execute function count_coupon_use();

-- What a use was does not change.
create function refuse_other_coupon_use() returns trigger language plpgsql as $$
begin
  raise exception 'the order, coupon and discount of a redemption cannot be changed' using errcode = 'restrict_violation';
end $$;
create trigger coupon_redemptions_unchanged before update on coupon_redemptions for each row
  when (row(old.order_id, old.coupon_id, old.discount_minor) is distinct from row(new.order_id, new.coupon_id, new.discount_minor))
  execute function refuse_other_coupon_use();
