-- Two skus, or two combinations of options of a product, that differ in upper and lower case only are one to people and to
-- spreadsheets. A shop that has such twins already keeps them: all but the oldest are marked, and their uniqueness begins when their
-- sku or options are changed. New ones are refused.
alter table products add column case_twin boolean not null default false;
alter table variants add column case_twin boolean not null default false;

update products p set case_twin = true
from (select id, row_number() over (partition by lower(sku) order by created_at, id) as n from products) twins
where twins.id = p.id and twins.n > 1;
update variants v set case_twin = true
from (select id, row_number() over (partition by lower(sku) order by id) as n from variants
      union all
      select id, row_number() over (partition by product_id, lower(options::text) order by id) from variants
      where archived_at is null) twins
where twins.id = v.id and twins.n > 1;

create unique index products_sku_lower_key on products (lower(sku)) where not case_twin;
create unique index variants_sku_lower_key on variants (lower(sku)) where not case_twin;
drop index variants_options_key;
create unique index variants_options_key on variants (product_id, lower(options::text))
  where archived_at is null and not case_twin;

create function no_case_twin_any_more() returns trigger language plpgsql as $$
begin
  new.case_twin := false;
  return new;
end $$;
create trigger products_case_twin before update of sku on products for each row
  when (old.case_twin and old.sku <> new.sku) execute function no_case_twin_any_more();
create trigger variants_case_twin before update of sku, options on variants for each row
  when (old.case_twin and (old.sku <> new.sku or old.options <> new.options)) execute function no_case_twin_any_more();
