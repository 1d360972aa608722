-- A price to compare with is what the goods cost before; it is above the price. Import has always left out others.
update products set compare_at_minor = null where compare_at_minor <= price_minor;
update variants set compare_at_minor = null where compare_at_minor <= price_minor;
alter table products add constraint products_compare_at_above_price check (compare_at_minor > price_minor) not valid;
alter table variants add constraint variants_compare_at_above_price check (compare_at_minor > price_minor) not valid;

-- Slugs that a product or a category had before. Links with them are led to the new one.
create table product_slugs (
  slug text primary key,
  product_id uuid not null references products on delete cascade
);
create index product_slugs_product_id on product_slugs (product_id);

create table category_slugs (
  slug text primary key,
  category_id uuid not null references categories on delete cascade
);
create index category_slugs_category_id on category_slugs (category_id);

-- Whoever changes a slug, the old one is kept; whoever takes one, it leads nowhere else any more.
create function product_slug_changed() returns trigger language plpgsql as $$
begin
  delete from product_slugs where slug = new.slug;
  if tg_op = 'UPDATE' then
    insert into product_slugs values (old.slug, old.id)
    on conflict (slug) do update set product_id = excluded.product_id;
  end if;
  return null;
end $$;
create trigger products_slug_taken after insert on products for each row execute function product_slug_changed();
create trigger products_slug_changed after update of slug on products for each row
  when (old.slug <> new.slug) execute function product_slug_changed();

create function category_slug_changed() returns trigger language plpgsql as $$
begin
  delete from category_slugs where slug = new.slug;
  if tg_op = 'UPDATE' then
    insert into category_slugs values (old.slug, old.id)
    on conflict (slug) do update set category_id = excluded.category_id;
  end if;
  return null;
end $$;
create trigger categories_slug_taken after insert on categories for each row execute function category_slug_changed();
create trigger categories_slug_changed after update of slug on categories for each row
  when (old.slug <> new.slug) execute function category_slug_changed();

-- Lists of the staff: all products by age, those that are not for sale, and skus by their beginning.
create index products_created on products (created_at desc, id desc);
create index products_not_for_sale on products (created_at desc, id desc) where archived_at is not null or not is_active;
create index products_sku_beginning on products (fold(sku) text_pattern_ops);
create index variants_sku_beginning on variants (fold(sku) text_pattern_ops);
