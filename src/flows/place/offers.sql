-- The variants for sale among these ids. Of a product that is named without a variant two are enough: more than one
-- means that the request has to say which.
select product_id as "product_id!: ProductId", variant_id as "variant_id!: VariantId", sku as "sku!",
       title as "title!", options as "options!", image_url, price_minor as "price_minor!",
       currency as "currency!", grams as "grams!", available as "available!", 0 as "quantity!"
from variant_offers where on_sale and variant_id = any($1)
union all
select o.product_id, o.variant_id, o.sku, o.title, o.options, o.image_url, o.price_minor, o.currency, o.grams, o.available, 0
from (select distinct id from unnest($2::uuid[]) id) named
cross join lateral (select * from variant_offers v where v.on_sale and v.product_id = named.id limit 2) o
