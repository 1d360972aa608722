-- A customer has one first order, whichever coupons for first orders he tries at once. Coupons have locks of their own, so those of one
-- customer follow each other by a lock of his. Who writes several uses takes these locks first, in the order of the customers; then
-- taking them again here waits for nobody.
create or replace function redeem_coupon() returns trigger language plpgsql as $$
declare
  coupon coupons;
  most int;
begin
  if new.customer is not null and (select first_order_only from coupons where id = new.coupon_id) then
    perform pg_advisory_xact_lock(hashtextextended('first order of ' || encode(new.customer, 'hex'), 0));
  end if;
  select * into coupon from coupons where id = new.coupon_id for no key update;
  most := least(coupon.per_customer_limit, case when coupon.first_order_only then 1 end);
  if coupon.version is distinct from new.coupon_version or coupon.used_count >= coupon.usage_limit then
    return null;
  end if;
  if most is not null and (new.customer is null or most <= (
       select count(*) from coupon_redemptions
       where coupon_id = new.coupon_id and customer = new.customer and returned_at is null)) then
    return null;
  end if;
  if coupon.first_order_only and exists (
       select from coupon_redemptions r join coupons c on c.id = r.coupon_id
       where r.customer = new.customer and r.returned_at is null and c.first_order_only) then
    return null;
  end if;
  update coupons set used_count = used_count + 1, discount_total_minor = discount_total_minor + new.discount_minor
  where id = new.coupon_id;
  return new;
end $$;
