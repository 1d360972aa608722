-- Places orders, one or many: each wholly or not at all, and one that is refused takes nothing from the others.
-- Gives a row for each line.
with asked as (
  select * from
    unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
           $10::int[], $11::bigint[], $12::bigint[], $13::int[])
      as line (n, id, product_id, variant_id, sku, title, variant_name, image_url, price, quantity, line_total,
               line_tax, position)
  -- Counted in the order of their asking.
  join unnest($14::uuid[], $15::uuid[], $16::uuid[], $17::int[], $18::text[], $19::text[], $20::bigint[],
              $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::jsonb[], $26::text[], $27::text[],
              $28::text[], $29::timestamptz[], $30::timestamptz[], $31::jsonb[]) with ordinality
      as o (order_id, user_id, cart_id, cart_version, email, currency, subtotal, discount, shipping, tax, total,
            address, shipping_method, payment_method, notes, expires_at, reserved_until, job, n) using (n)),
-- The locks, in the order that all keep: persons, carts, stock. An account that is being erased orders nothing.
person as (
  select id, email from users where id = any($15) and erased_at is null order by id for share),
cart as (
  select id, version from carts where id = any($16) and status = 'open' order by id for update),
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
           or a.cart_id is not null and c.version is distinct from a.cart_version as is_stale
  from asked a left join level l using (variant_id)
  left join person p on p.id = a.user_id left join cart c on c.id = a.cart_id),
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
                      shipping_minor, tax_minor, total_minor, shipping_address, shipping_method,
                      payment_method, notes, placed_at, updated_at, expires_at)
  select order_id, order_number(extract(year from $32::timestamptz)::int, nextval('order_number_seq')), user_id, cart_id, sent_to,
         $33, currency, subtotal, discount, shipping, tax, total, address, shipping_method, payment_method, notes,
         $32, $32, expires_at
  from sold where position = 1 order by n
  returning id, number),
closed as (
  update carts set status = 'ordered', updated_at = $32, expires_at = null
  where id in (select cart_id from sold where cart_id is not null)),
lines as (
  insert into order_items (id, order_id, position, product_id, variant_id, sku, title, variant_name,
                           image_url, unit_price_minor, quantity, total_minor, tax_minor)
  select id, order_id, position, product_id, variant_id, sku, title, variant_name, image_url, price, quantity,
         line_total, line_tax
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
  select variant_id, 0, quantity, 'reserve', order_id, $32 from sold),
noted as (
  insert into order_events (order_id, type, to_status, actor_type, actor_id, at)
  select order_id, 'placed', $33, 'customer', user_id, $32 from sold where position = 1),
enqueued as (
  select enqueue_jobs($34, array_agg(job), $35) as jobs from sold where position = 1)
select v.n as "n!", v.variant_id as "variant_id!: VariantId", v.quantity as "quantity!", v.available as "available!",
       v.is_gone as "is_gone!", v.is_stale as "is_stale!", v.sent_to as email, p.number as "number?",
       (select jobs from enqueued) as jobs
from verdict v left join placed p on p.id = v.order_id
order by v.n, v.position
