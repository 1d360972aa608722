with want as (
  select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                       $8::bigint[], $9::int[], $10::bigint[], $11::bigint[]) with ordinality
    as w (id, product_id, variant_id, sku, title, variant_name, image_url, price, quantity, total, tax,
          position)),
-- Before the stock, as an erasure locks them: an account that is being erased orders nothing.
person as (
  select from users where id = $16 and erased_at is null for share),
locked as (
  select variant_id, on_hand - reserved as available from stock_levels
  where variant_id = any($3) and ($16::uuid is null or exists (select from person))
  order by variant_id for update),
short as (
  select w.variant_id, coalesce(l.available, 0) as available
  from want w left join locked l using (variant_id) where coalesce(l.available, 0) < w.quantity),
stale as (
  select from want w left join variants v on v.id = w.variant_id and v.archived_at is null
  left join products p on p.id = v.product_id and p.is_active and p.archived_at is null
  where p.id is null or v.price_minor <> w.price),
cart as (
  update carts set status = 'ordered', updated_at = $12, expires_at = null
  where id = $13 and status = 'open' and version = $14
    and not exists (select from short) and not exists (select from stale)
  returning id),
go as (
  select where not exists (select from short) and not exists (select from stale)
           and ($13::uuid is null or exists (select from cart))),
placed as (
  insert into orders (id, number, user_id, cart_id, email, status, currency, subtotal_minor, discount_minor,
                      shipping_minor, tax_minor, total_minor, shipping_address, shipping_method,
                      payment_method, notes, placed_at, updated_at, expires_at)
  select $15, order_number(extract(year from $12)::int, nextval('order_number_seq')), $16, $13, $17, $18,
         $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $12, $12, $29
  from go returning id, number),
lines as (
  insert into order_items (id, order_id, position, product_id, variant_id, sku, title, variant_name,
                           image_url, unit_price_minor, quantity, total_minor, tax_minor)
  select w.id, placed.id, w.position, w.product_id, w.variant_id, w.sku, w.title, w.variant_name,
         w.image_url, w.price, w.quantity, w.total, w.tax
  from want w, placed),
held as (
  insert into reservations (order_id, variant_id, quantity, expires_at)
  select placed.id, w.variant_id, w.quantity, $30 from want w, placed),
taken as (
  update stock_levels s set reserved = s.reserved + w.quantity
  from want w, placed where s.variant_id = w.variant_id),
moved as (
  insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
  select w.variant_id, 0, w.quantity, 'reserve', placed.id, $12 from want w, placed),
noted as (
  insert into order_events (order_id, type, to_status, actor_type, actor_id, at)
  select id, 'placed', $18, 'customer', $16, $12 from placed)
select (select number from placed) as number,
       $16::uuid is not null and not exists (select from person) as "gone!",
       (select enqueue_job($31, $32, $33) from placed) as job,
       array(select variant_id from short order by variant_id) as "short!: Vec<VariantId>",
       array(select available from short order by variant_id) as "available!: Vec<i32>"
