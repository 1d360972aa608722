select product_id as "product_id!: ProductId", variant_id as "variant_id!: VariantId", sku as "sku!",
       title as "title!", options as "options!", image_url, price_minor as "price_minor!",
       currency as "currency!", 0 as "quantity!"
from variant_offers where on_sale and (variant_id = any($1) or product_id = any($2)) limit 5000
