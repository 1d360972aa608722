-- Pictures that an import brought from elsewhere are fetched, so that the shop does not depend on the old one.
alter table product_images
  -- Where the picture came from; `url` is where it is shown from.
  add column source_url text check (length(source_url) between 1 and 2000),
  add column fetch_status text check (fetch_status in ('waiting', 'kept', 'failed')),
  add column fetch_tries int not null default 0 check (fetch_tries >= 0),
  -- Not before this time.
  add column fetch_after timestamptz,
  add column fetch_error text,
  add constraint product_images_fetch_has_source check ((source_url is null) = (fetch_status is null)),
  add constraint product_images_fetch_failure_is_told check (fetch_status <> 'failed' or fetch_error is not null);
create index product_images_waiting on product_images (fetch_after nulls first, id) where fetch_status = 'waiting';

-- What staff change is not what the file last said any more, so that the same file sets it again. What they remove or bring
-- back stays so.
create function forget_import_hash() returns trigger language plpgsql as $$
begin
  new.import_hash := null;
  return new;
end $$;
create trigger products_changed_by_hand before update on products for each row
  when (new.version <> old.version and new.import_hash is not null and new.import_hash = old.import_hash
        and new.archived_at is not distinct from old.archived_at)
  execute function forget_import_hash();
