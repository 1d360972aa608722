alter table categories add column version int not null default 1;

-- Whoever changes the shape of the tree waits for the one who is changing it.
create function lock_category_tree() returns void language sql as
$$ select pg_advisory_xact_lock(hashtextextended('category tree', 0)) $$;

-- No category is below itself, and none is more than ten levels deep.
create function category_tree_holds() returns trigger language plpgsql as $$
declare
  above int;
  below int;
begin
  perform lock_category_tree();
  with recursive up as (
    select c.id, c.parent_id, 1 as level from categories c where c.id = new.parent_id
    union all
    select c.id, c.parent_id, up.level + 1 from categories c join up on c.id = up.parent_id
    where up.id <> new.id and up.level < 100)
  select max(level) into above from up having not bool_or(id = new.id);
  if above is null and exists (select from categories where id = new.parent_id) then
    raise exception 'a category cannot be below itself'
      using errcode = 'check_violation', constraint = 'categories_no_cycle';
  end if;
  with recursive down as (
    select new.id as id, 1 as level
    union all
    select c.id, down.level + 1 from categories c join down on c.parent_id = down.id where down.level < 100)
  select max(level) into below from down;
  if above + below > 10 then
    raise exception 'the tree of categories has at most ten levels'
      using errcode = 'check_violation', constraint = 'categories_depth';
  end if;
  return new;
end $$;
create trigger categories_tree before insert or update of parent_id on categories for each row
  when (new.parent_id is not null) execute function category_tree_holds();

-- How many products for sale are in a category, kept by the database, because counting a million of them takes long.
-- The count is the sum over the slots: each connection writes into one of them, so that few wait for each other.
create table category_counts (
  category_id uuid not null references categories on delete cascade,
  slot smallint not null,
  products bigint not null,
  primary key (category_id, slot)
) with (fillfactor = 50);

create function count_products_of_categories() returns trigger language plpgsql as $$
declare
  mine constant smallint := pg_backend_pid() % 16;
begin
  if tg_op = 'INSERT' then
    insert into category_counts
    select category_id, mine, count(*) from new_rows
    where category_id is not null and is_active and archived_at is null
    group by category_id order by category_id
    on conflict (category_id, slot) do update set products = category_counts.products + excluded.products;
  elsif tg_op = 'DELETE' then
    insert into category_counts
    select category_id, mine, -count(*) from old_rows
    where category_id is not null and is_active and archived_at is null
    group by category_id order by category_id
    on conflict (category_id, slot) do update set products = category_counts.products + excluded.products;
  else
    insert into category_counts
    select category_id, mine, sum(n) from (
      select category_id, 1 as n from new_rows where is_active and archived_at is null
      union all
      select category_id, -1 from old_rows where is_active and archived_at is null) changed
    where category_id is not null
    group by category_id having sum(n) <> 0 order by category_id
    on conflict (category_id, slot) do update set products = category_counts.products + excluded.products;
  end if;
  return null;
end $$;
create trigger products_counted_in after insert on products referencing new table as new_rows
  for each statement execute function count_products_of_categories();
create trigger products_counted_out after delete on products referencing old table as old_rows
  for each statement execute function count_products_of_categories();
create trigger products_counted_anew after update on products referencing old table as old_rows new table as new_rows
  for each statement execute function count_products_of_categories();

insert into category_counts
select category_id, 0, count(*) from products
where category_id is not null and is_active and archived_at is null
group by category_id;
