-- Which products can be bought, beside what lists are sorted by, so that a list of what is in stock is read from an index, however
-- little there is and wherever it stands. It is a table of its own because stock changes far more often than products do, and
-- whoever buys must not wait for whoever edits a product.
create table product_stock (
  product_id uuid primary key references products on delete cascade,
  -- Whether any live variant has more on hand than is reserved.
  in_stock boolean not null default false,
  -- Copies from the product.
  is_listed boolean not null,
  created_at timestamptz not null,
  price_minor bigint not null,
  title text not null,
  popularity int not null
) with (fillfactor = 80);

-- Looks again whether these products can be bought. A change that is under way of another variant of the same product is waited
-- for: the second statement sees what it left. So the last of two that happen at once is always right.
create function look_at_stock(products uuid[]) returns void language plpgsql as $$
begin
  perform from product_stock where product_id = any(products) order by product_id for no key update;
  update product_stock f set in_stock = not f.in_stock
  where f.product_id = any(products)
    and f.in_stock <> exists (select from variants v join stock_levels s on s.variant_id = v.id
                              where v.product_id = f.product_id and v.archived_at is null and s.on_hand > s.reserved);
end $$;

create function product_stock_begins() returns trigger language plpgsql as $$
begin
  insert into product_stock (product_id, is_listed, created_at, price_minor, title, popularity)
  select id, is_active and archived_at is null, created_at, price_minor, fold(title), popularity from now;
  return null;
end $$;
create function product_stock_follows() returns trigger language plpgsql as $$
begin
  update product_stock f
  set is_listed = n.is_active and n.archived_at is null, created_at = n.created_at, price_minor = n.price_minor,
      title = fold(n.title), popularity = n.popularity
  from now n join before b using (id)
  where f.product_id = n.id
    and (n.is_active and n.archived_at is null, n.created_at, n.price_minor, n.title, n.popularity)
      is distinct from (b.is_active and b.archived_at is null, b.created_at, b.price_minor, b.title, b.popularity);
  return null;
end $$;
create function stock_of_new_levels() returns trigger language plpgsql as $$
declare
  products uuid[] := array(select distinct v.product_id from now n join variants v on v.id = n.variant_id
                           where n.on_hand > n.reserved);
begin
  if products <> '{}' then
    perform look_at_stock(products);
  end if;
  return null;
end $$;
create function stock_of_changed_level() returns trigger language plpgsql as $$
begin
  perform look_at_stock(array(select product_id from variants where id = old.variant_id));
  return null;
end $$;
create function stock_of_changed_variants() returns trigger language plpgsql as $$
declare
  products uuid[] := array(select distinct n.product_id from now n join before b using (id)
                           where (n.archived_at is null) <> (b.archived_at is null));
begin
  if products <> '{}' then
    perform look_at_stock(products);
  end if;
  return null;
end $$;

-- What is there already, while nobody changes it: about seven seconds for 200,000 products.
lock table products, variants, stock_levels in share row exclusive mode;
insert into product_stock
select p.id, exists (select from variants v join stock_levels s on s.variant_id = v.id
                     where v.product_id = p.id and v.archived_at is null and s.on_hand > s.reserved),
       p.is_active and p.archived_at is null, p.created_at, p.price_minor, fold(p.title), p.popularity
from products p;
create index product_stock_newest on product_stock (in_stock, created_at, product_id) where is_listed;
create index product_stock_price on product_stock (in_stock, price_minor, product_id) where is_listed;
create index product_stock_title on product_stock (in_stock, title, product_id) where is_listed;
create index product_stock_popular on product_stock (in_stock, popularity, product_id) where is_listed;

create trigger products_stock_begins after insert on products referencing new table as now
  for each statement execute function product_stock_begins();
create trigger products_stock_follows after update on products referencing old table as before new table as now
  for each statement execute function product_stock_follows();
create trigger variants_stock_changed after update on variants referencing old table as before new table as now
  for each statement execute function stock_of_changed_variants();
create trigger stock_levels_new after insert on stock_levels referencing new table as now
  for each statement execute function stock_of_new_levels();
-- Only with the last piece of a variant, or the first; all other changes cost a comparison.
create trigger stock_levels_turned after update on stock_levels for each row
  when ((old.on_hand > old.reserved) <> (new.on_hand > new.reserved)) execute function stock_of_changed_level();
create trigger stock_levels_gone after delete on stock_levels for each row
  when (old.on_hand > old.reserved) execute function stock_of_changed_level();
