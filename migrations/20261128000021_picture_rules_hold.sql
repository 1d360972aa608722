-- Brings what is there into the shape of the rules, and has the rules hold for it. Readers and writers go on meanwhile, but for
-- the moment that an index over few rows takes.
update variants v set asset_id = a.id from media_assets a where v.image_url = a.url and v.archived_at is null;
update product_images set type = type where (type = 'main') <> (position = 0);
alter table variants validate constraint variants_asset_id_fkey;
alter table product_images validate constraint product_images_first_is_main;
alter table product_images validate constraint product_images_hidden_has_source;
create index variants_asset_id on variants (asset_id) where asset_id is not null;
create index product_images_failed on product_images (product_id) where fetch_status = 'failed';
