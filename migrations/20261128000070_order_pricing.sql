-- How an order's sums came about, as they were when it was placed: later changes of rates do not touch it.
alter table orders
  -- The name of the way of shipping, for shoppers; `shipping_method` is its code. Null in orders from before there were names.
  add column shipping_name text,
  -- [{"name", "rateBasisPoints", "included", "amountMinor"}], the carriage's taxes in them.
  add column taxes jsonb not null default '[]',
  -- Those within the prices. Those on top are `tax_minor`.
  add column tax_included_minor bigint not null default 0,
  add column coupon_code text;
alter table orders add constraint orders_tax_included check (tax_included_minor >= 0) not valid;
alter table orders validate constraint orders_tax_included;

alter table order_items
  -- The line's part of the order's discount.
  add column discount_minor bigint not null default 0,
  add column tax_included_minor bigint not null default 0;
alter table order_items
  add constraint order_items_discount check (discount_minor between 0 and total_minor) not valid,
  add constraint order_items_tax_included check (tax_included_minor between 0 and total_minor - discount_minor) not valid;
alter table order_items validate constraint order_items_discount;
alter table order_items validate constraint order_items_tax_included;

-- The same as before, with what a unit weighs.
create or replace view variant_offers as
select v.id as variant_id, v.product_id, v.sku, v.options, v.price_minor, p.currency, p.title, p.slug,
       v.archived_at is null and p.archived_at is null and p.is_active as on_sale,
       coalesce(s.on_hand - s.reserved, 0) as available,
       coalesce(case when not exists (select from product_images h where h.product_id = v.product_id and h.is_hidden
                                        and h.url = v.image_url) then v.image_url end,
                (select i.url from product_images i where i.product_id = p.id and not i.is_hidden
                 order by i.position, i.id limit 1)) as image_url,
       coalesce(v.weight_grams, p.weight_grams, 0) as grams
from variants v join products p on p.id = v.product_id left join stock_levels s on s.variant_id = v.id;
