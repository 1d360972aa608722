-- The shop's own pictures. A file is made known in one of two tables before it is written, and leaves them after it is
-- removed, so that whatever is cut off in between, no file is lost from sight.

-- Pictures that are there.
create table media_assets (
  id uuid primary key,
  provider text not null check (provider in ('local', 's3', 'cloudinary')),
  -- The file's name in its store. It is never used twice.
  key text not null check (length(key) between 1 and 300),
  -- The provider's number of this state of the file.
  version bigint,
  -- Its address as products keep it: absolute, or a path on this server.
  url text not null constraint media_assets_url_key unique check (length(url) between 1 and 2000),
  content_type text not null check (content_type in ('image/jpeg', 'image/png', 'image/webp', 'image/gif')),
  bytes bigint not null check (bytes > 0),
  width int not null check (width > 0),
  height int not null check (height > 0),
  -- Of the file as it is kept.
  sha256 bytea not null check (length(sha256) = 32),
  alt text not null default '',
  created_by uuid references users on delete set null,
  created_at timestamptz not null,
  -- Whether a product ever showed it. Orders keep its address, so only what was never shown is cleaned up by itself.
  was_attached boolean not null default false,
  constraint media_assets_key unique (provider, key)
);
create index media_assets_never_attached on media_assets (created_at) where not was_attached;
create index media_assets_created_by on media_assets (created_by) where created_by is not null;

-- Files that are not a picture yet, or not any more.
create table media_loose (
  id uuid primary key,
  provider text not null check (provider in ('local', 's3', 'cloudinary')),
  key text not null check (length(key) between 1 and 300),
  -- 'writing': this program is about to write it. 'upload': a browser may send it, until somebody confirms it.
  -- 'removal': nobody may take it any more; it is to be removed.
  purpose text not null check (purpose in ('writing', 'upload', 'removal')),
  -- When it counts as left behind.
  remove_at timestamptz not null,
  constraint media_loose_key unique (provider, key)
);
create index media_loose_remove_at on media_loose (remove_at);

-- A picture that a product shows cannot be deleted: the reference restricts it.
alter table product_images add column asset_id uuid
  constraint product_images_asset_id_fkey references media_assets;
create index product_images_asset_id on product_images (asset_id) where asset_id is not null;

-- At most ten pictures a product, in ten places: two who add one at once want the same place, and one of them fails.
-- Rows from before that rule stay as they are.
alter table product_images add constraint product_images_ten check (position < 10) not valid;
-- Checked at the end of a statement, so that one statement may put pictures in another order.
alter table product_images add constraint product_images_place unique (product_id, position) deferrable initially immediate;
drop index product_images_product_id;

-- Whoever names a picture by its address means the picture, and keeps it from the clean-up.
create function product_images_link_asset() returns trigger language plpgsql as $$
begin
  if new.asset_id is null then
    select id into new.asset_id from media_assets where url = new.url;
  end if;
  update media_assets set was_attached = true where id = new.asset_id and not was_attached;
  return new;
end $$;
create trigger product_images_link_asset before insert or update of asset_id, url on product_images
  for each row execute function product_images_link_asset();

create function variants_note_asset() returns trigger language plpgsql as $$
begin
  update media_assets set was_attached = true where url = new.image_url and not was_attached;
  return new;
end $$;
create trigger variants_note_asset before insert or update of image_url on variants
  for each row when (new.image_url is not null) execute function variants_note_asset();

-- The same as before, with what the addresses of an own picture's sizes are made of.
create or replace view product_listing as
select p.id, p.sku, p.title, p.slug, p.short_description, p.description, p.full_story, p.currency, p.price_minor,
       p.compare_at_minor, p.category_id, c.name as category_name, c.slug as category_slug, p.vendor, p.tags,
       p.weight_grams, p.width, p.length, p.dimension_unit, p.weave_origin, p.care_instructions, p.dispatch_time,
       p.is_featured, p.is_limited, p.is_active, p.metadata, p.rating, p.review_count, p.version, p.created_at,
       p.updated_at, p.archived_at,
       coalesce((select jsonb_agg(jsonb_build_object(
                          'id', i.id, 'url', i.url, 'alt', i.alt, 'type', i.type, 'order', i.position,
                          'place', case when a.id is not null then jsonb_build_object(
                                     'provider', a.provider, 'key', a.key, 'version', a.version) end)
                          order by i.position, i.id)
                 from product_images i left join media_assets a on a.id = i.asset_id
                 where i.product_id = p.id), '[]'::jsonb) as images,
       coalesce((select jsonb_agg(jsonb_build_object('id', v.id, 'sku', v.sku, 'options', v.options,
                                                     'price_minor', v.price_minor,
                                                     'compare_at_minor', v.compare_at_minor,
                                                     'available', coalesce(s.on_hand - s.reserved, 0),
                                                     'image_url', v.image_url) order by v.position, v.id)
                 from variants v left join stock_levels s on s.variant_id = v.id
                 where v.product_id = p.id and v.archived_at is null), '[]'::jsonb) as variants
from products p left join categories c on c.id = p.category_id;
