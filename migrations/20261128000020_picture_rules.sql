-- What a picture is to a product and its variants. Safe beside the binary before this one: the triggers do what it does not.

-- A picture that a live variant shows is a picture of the library that cannot be deleted, as a product's.
alter table variants add column asset_id uuid;
alter table variants add constraint variants_asset_id_fkey foreign key (asset_id) references media_assets not valid;

drop trigger variants_note_asset on variants;
drop function variants_note_asset();

-- The address says which picture it is. A removed variant shows nothing, so it keeps nothing.
create function variants_link_asset() returns trigger language plpgsql as $$
begin
  new.asset_id := null;
  if new.image_url is not null and new.archived_at is null then
    select id into new.asset_id from media_assets where url = new.image_url;
    update media_assets set was_attached = true where id = new.asset_id and not was_attached;
  end if;
  return new;
end $$;
create trigger variants_link_asset before insert or update of image_url, archived_at on variants
  for each row when (new.image_url is not null or new.asset_id is not null) execute function variants_link_asset();

-- Where a picture of the library is shown.
create view media_uses as
select i.asset_id, i.product_id, (select p.title from products p where p.id = i.product_id) as product_title,
       null::uuid as variant_id, null::text as variant_sku
from product_images i where i.asset_id is not null
union all
select v.asset_id, v.product_id, (select p.title from products p where p.id = v.product_id), v.id, v.sku
from variants v where v.asset_id is not null;

-- The first picture of a product is its main one, and no other is: so there is exactly one, whoever writes.
create function product_images_name_main() returns trigger language plpgsql as $$
begin
  new.type := case when new.position = 0 then 'main' else 'detail' end;
  return new;
end $$;
create trigger product_images_name_main before insert or update on product_images
  for each row when ((new.type = 'main') <> (new.position = 0)) execute function product_images_name_main();
alter table product_images add constraint product_images_first_is_main check ((type = 'main') = (position = 0)) not valid;

-- Not for shoppers: where it came from is an address that must not be reached, and it is shown from nowhere else.
alter table product_images add column is_hidden boolean not null default false;
alter table product_images add constraint product_images_hidden_has_source
  check (not is_hidden or source_url is not null) not valid;

-- An address that has no public name may be anywhere; it is shown once the picture is kept. Names are judged when they are
-- fetched.
create function product_images_hide_bare_address() returns trigger language plpgsql as $$
begin
  new.is_hidden := true;
  return new;
end $$;
create trigger product_images_hide_bare_address before insert on product_images for each row
  when (new.fetch_status = 'waiting'
        and new.source_url ~* '^https?://([^/?#]*@)?(\[|(([^/?#]*[.])?localhost|[^./?#:]+|(0x[0-9a-f]+|[0-9]+)([.](0x[0-9a-f]+|[0-9]+))*)[.]?([:/?#]|$))')
  execute function product_images_hide_bare_address();

-- What a browser was allowed to send.
alter table media_loose
  add column announced_type text
    check (announced_type in ('image/jpeg', 'image/png', 'image/webp', 'image/gif')),
  add column announced_bytes bigint check (announced_bytes > 0);

-- The same as before, with what became of a picture that was to be fetched.
create or replace view product_listing as
select p.id, p.sku, p.title, p.slug, p.short_description, p.description, p.full_story, p.currency, p.price_minor,
       p.compare_at_minor, p.category_id, c.name as category_name, c.slug as category_slug, p.vendor, p.tags,
       p.weight_grams, p.width, p.length, p.dimension_unit, p.weave_origin, p.care_instructions, p.dispatch_time,
       p.is_featured, p.is_limited, p.is_active, p.metadata, p.rating, p.review_count, p.version, p.created_at,
       p.updated_at, p.archived_at,
       coalesce((select jsonb_agg(jsonb_build_object(
                          'id', i.id, 'url', i.url, 'alt', i.alt, 'type', i.type, 'order', i.position,
                          'place', case when a.id is not null then jsonb_build_object(
                                     'provider', a.provider, 'key', a.key, 'version', a.version) end,
                          'fetch', case when i.fetch_status <> 'kept' then jsonb_build_object(
                                     'status', i.fetch_status, 'sourceUrl', i.source_url, 'tries', i.fetch_tries,
                                     'error', i.fetch_error, 'isHidden', i.is_hidden) end)
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

-- The same as before, without hidden pictures.
create or replace view variant_offers as
select v.id as variant_id, v.product_id, v.sku, v.options, v.price_minor, p.currency, p.title, p.slug,
       v.archived_at is null and p.archived_at is null and p.is_active as on_sale,
       coalesce(s.on_hand - s.reserved, 0) as available,
       coalesce(case when not exists (select from product_images h where h.product_id = v.product_id and h.is_hidden
                                        and h.url = v.image_url) then v.image_url end,
                (select i.url from product_images i where i.product_id = p.id and not i.is_hidden
                 order by i.position, i.id limit 1)) as image_url
from variants v join products p on p.id = v.product_id left join stock_levels s on s.variant_id = v.id;
