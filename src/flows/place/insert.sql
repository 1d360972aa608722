-- Places orders, one or many: each wholly or not at all, and one that is refused takes nothing from the others.
-- Gives a row for each line.
with asked as (
  select * from
    unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
           $10::int[], $11::bigint[], $12::bigint[], $13::int[], $14::bigint[], $15::bigint[])
      as line (n, id, product_id, variant_id, sku, title, variant_name, image_url, price, quantity, line_total,
               line_tax, position, line_discount, line_tax_included)
  -- Counted in the order of their asking.
  join unnest($16::uuid[], $17::uuid[], $18::uuid[], $19::int[], $20::text[], $21::text[], $22::bigint[],
              $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::jsonb[],
              $29::text[], $30::jsonb[], $31::text[], $32::text[], $33::text[], $34::text[], $35::timestamptz[],
              $36::timestamptz[], $37::jsonb[]) with ordinality
      as o (order_id, user_id, cart_id, cart_version, email, currency, subtotal, discount, shipping, tax, total,
            tax_included, taxes, coupon_code, address, shipping_method, shipping_name, payment_method, notes,
            expires_at, reserved_until, job, n) using (n)),
-- The locks, in the order that all keep: persons, carts, stock. An account that is being erased orders nothing.
person as (
  select id, email from users where id = any($17) and erased_at is null order by id for share),
cart as (
  select id, version from carts where id = any($18) and status = 'open' order by id for update),
level as (
  select s.variant_id, s.on_hand, s.reserved, s.on_hand - s.reserved as available, o.price_minor
  from stock_levels s
  left join (variants o join products p on p.id = o.product_id and p.is_active and p.archived_at is null)
    on o.id = s.variant_id and o.archived_at is null
  where s.variant_id = any($4) and (select count(*) from person) + (select count(*) from cart) >= 0
  order by s.variant_id for update of s),
-- What is in the way of each line by itself.
alone as (
  select a.*, coalesce(a.email, p.email) as sent_to, coalesce(l.available, 0) as available,
         a.user_id is not null and p.id is null as is_gone,
         l.price_minor is distinct from a.price
           or a.cart_id is not null and c.version is distinct from a.cart_version
           or r.version <> $42 as is_stale
  from asked a left join level l using (variant_id)
  left join person p on p.id = a.user_id left join cart c on c.id = a.cart_id
  cross join rates_version r),
-- First come, first served: whether what those before leave is enough.
queue as (
  select *, not is_gone and not is_stale and quantity <= available and available >=
              sum(quantity) filter (where not is_gone and not is_stale and quantity <= available)
              over (partition by variant_id order by n) as is_left
  from alone),
verdict as (
  select *, bool_and(is_left) over (partition by n) as fits from queue),
sold as materialized (
  select * from verdict where fits),
placed as (
  insert into orders (id, number, user_id, cart_id, email, status, currency, subtotal_minor, discount_minor,
                      shipping_minor, tax_minor, total_minor, tax_included_minor, taxes, coupon_code,
                      shipping_address, shipping_method, shipping_name, payment_method, notes, placed_at, updated_at,
                      expires_at)
  select order_id, order_number(extract(year from $38::timestamptz)::int, nextval('order_number_seq')), user_id, cart_id, sent_to,
         $39, currency, subtotal, discount, shipping, tax, total, tax_included, taxes, coupon_code,
         address, shipping_method, shipping_name, payment_method, notes, $38, $38, expires_at
  from sold where position = 1 order by n
  returning id, number),
closed as (
  update carts set status = 'ordered', updated_at = $38, expires_at = null
  where id in (select cart_id from sold where cart_id is not null)),
lines as (
  insert into order_items (id, order_id, position, product_id, variant_id, sku, title, variant_name,
                           image_url, unit_price_minor, quantity, total_minor, tax_minor, discount_minor,
                           tax_included_minor)
  select id, order_id, position, product_id, variant_id, sku, title, variant_name, image_url, price, quantity,
         line_total, line_tax, line_discount, line_tax_included
  from sold),
held as (
  insert into reservations (order_id, variant_id, quantity, expires_at)
  select order_id, variant_id, quantity, reserved_until from sold),
-- From the values that were locked: those that the statement sees may be older, and the table's checks would look at them.
taken as (
  update stock_levels s set on_hand = l.on_hand, reserved = l.reserved + t.quantity
  from (select variant_id, sum(quantity) as quantity from sold group by variant_id) t join level l using (variant_id)
  where s.variant_id = t.variant_id),
moved as (
  insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
  select variant_id, 0, quantity, 'reserve', order_id, $38 from sold),
noted as (
  insert into order_events (order_id, type, to_status, actor_type, actor_id, at)
  select order_id, 'placed', $39, 'customer', user_id, $38 from sold where position = 1),
enqueued as (
  select enqueue_jobs($40, array_agg(job), $41) as jobs from sold where position = 1)
select v.n as "n!", v.variant_id as "variant_id!: VariantId", v.quantity as "quantity!", v.available as "available!",
       v.is_gone as "is_gone!", v.is_stale as "is_stale!", v.sent_to as email, p.number as "number?",
       (select jobs from enqueued) as jobs
from verdict v left join placed p on p.id = v.order_id
order by v.n, v.position
