create table stock_levels (
  variant_id uuid primary key references variants,
  on_hand int not null default 0 constraint stock_on_hand_not_negative check (on_hand >= 0),
  reserved int not null default 0 constraint stock_reserved_not_negative check (reserved >= 0),
  -- Warn at or below this; null takes the shop's setting.
  low_stock_threshold int check (low_stock_threshold >= 0),
  -- Counts staff edits, for optimistic locking.
  version int not null default 1,
  constraint stock_never_oversold check (reserved <= on_hand)
) with (fillfactor = 70);

-- Every change of a level. Summed up per variant, it equals the level.
create table stock_movements (
  id bigint generated always as identity primary key,
  variant_id uuid not null references variants,
  on_hand_delta int not null,
  reserved_delta int not null,
  reason text not null check (reason in ('initial', 'import', 'adjustment', 'reserve', 'commit', 'release', 'return')),
  order_id uuid,
  actor_id uuid,
  note text,
  at timestamptz not null,
  check (on_hand_delta <> 0 or reserved_delta <> 0)
);
create index stock_movements_variant_id on stock_movements (variant_id, id);
create index stock_movements_order_id on stock_movements (order_id) where order_id is not null;
create trigger stock_movements_append_only before update or delete or truncate on stock_movements
  for each statement execute function refuse_change();

-- A product as it is shown: with its category, pictures, live variants and what is available of them.
create view product_listing as
select p.id, p.sku, p.title, p.slug, p.short_description, p.description, p.full_story, p.currency, p.price_minor,
       p.compare_at_minor, p.category_id, c.name as category_name, c.slug as category_slug, p.vendor, p.tags,
       p.weight_grams, p.width, p.length, p.dimension_unit, p.weave_origin, p.care_instructions, p.dispatch_time,
       p.is_featured, p.is_limited, p.is_active, p.metadata, p.rating, p.review_count, p.version, p.created_at,
       p.updated_at, p.archived_at,
       coalesce((select jsonb_agg(jsonb_build_object('id', i.id, 'url', i.url, 'alt', i.alt, 'type', i.type,
                                                     'order', i.position) order by i.position, i.id)
                 from product_images i where i.product_id = p.id), '[]'::jsonb) as images,
       coalesce((select jsonb_agg(jsonb_build_object('id', v.id, 'sku', v.sku, 'options', v.options,
                                                     'price_minor', v.price_minor,
                                                     'compare_at_minor', v.compare_at_minor,
                                                     'available', coalesce(s.on_hand - s.reserved, 0),
                                                     'image_url', v.image_url) order by v.position, v.id)
                 from variants v left join stock_levels s on s.variant_id = v.id
                 where v.product_id = p.id and v.archived_at is null), '[]'::jsonb) as variants
from products p left join categories c on c.id = p.category_id;

-- A variant as carts and orders need to know it: what it costs, whether it is for sale, what is available.
create view variant_offers as
select v.id as variant_id, v.product_id, v.sku, v.options, v.price_minor, p.currency, p.title, p.slug,
       v.archived_at is null and p.archived_at is null and p.is_active as on_sale,
       coalesce(s.on_hand - s.reserved, 0) as available,
       coalesce(v.image_url, (select i.url from product_images i where i.product_id = p.id
                              order by i.position, i.id limit 1)) as image_url
from variants v join products p on p.id = v.product_id left join stock_levels s on s.variant_id = v.id;
