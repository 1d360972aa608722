-- Search that forgives, lists that stay fast with a million products.

create extension if not exists fuzzystrmatch;

-- English stems without accents: how texts are cut into words where what was found is marked.
create text search configuration shop (copy = english);
alter text search configuration shop
  alter mapping for asciiword, asciihword, hword_asciipart, word, hword, hword_part with unaccent, english_stem;

-- Title weighs most, then tags and sku, then the texts. Words that a hyphen or an apostrophe joins are found when they are
-- written as one, and a sku with or without its signs.
create or replace function product_search_document() returns trigger language plpgsql as $$
declare
  title text := fold(new.title);
  tags text := fold(array_to_string(new.tags, ' '));
begin
  new.search :=
    setweight(to_tsvector('english', title), 'A') ||
    setweight(to_tsvector('simple', title || ' ' || regexp_replace(title, '[-''’ʼ]', '', 'g')), 'A') ||
    setweight(to_tsvector('english', tags), 'B') ||
    setweight(to_tsvector('simple', tags || ' ' || regexp_replace(tags, '[-''’ʼ]', '', 'g')), 'B') ||
    setweight(to_tsvector('simple', fold(regexp_replace(new.sku, '[^[:alnum:]]+', ' ', 'g') || ' '
      || regexp_replace(new.sku, '[^[:alnum:]]+', '', 'g'))), 'B') ||
    setweight(to_tsvector('english', fold(new.short_description || ' ' || new.description || ' ' || new.full_story
      || ' ' || new.weave_origin || ' ' || coalesce(new.vendor, ''))), 'C');
  return new;
end $$;

-- Every word of a title or tag, without accents. A search that finds nothing looks here for what was meant.
create table search_words (
  word text primary key check (length(word) between 3 and 40)
);
create index search_words_prefix on search_words (word text_pattern_ops);
create index search_words_trigram on search_words using gin (word gin_trgm_ops);

create function learn_search_words() returns trigger language plpgsql as $$
begin
  -- In one order, so that two statements at once take turns. Words that are known need no lock.
  insert into search_words (word)
  select distinct w from changed c,
    regexp_split_to_table(fold(c.title || ' ' || array_to_string(c.tags, ' ')), '[^[:alnum:]]+') w
  where length(w) between 3 and 40 and w ~ '[[:alpha:]]' and not exists (select from search_words k where k.word = w)
  order by w
  on conflict do nothing;
  return null;
end $$;
create trigger products_words_new after insert on products referencing new table as changed
  for each statement execute function learn_search_words();
create function learn_changed_search_words() returns trigger language plpgsql as $$
begin
  insert into search_words (word)
  select distinct w from now n join before b using (id),
    regexp_split_to_table(fold(n.title || ' ' || array_to_string(n.tags, ' ')), '[^[:alnum:]]+') w
  where (n.title <> b.title or n.tags <> b.tags)
    and length(w) between 3 and 40 and w ~ '[[:alpha:]]' and not exists (select from search_words k where k.word = w)
  order by w
  on conflict do nothing;
  return null;
end $$;
create trigger products_words_changed after update on products referencing old table as before new table as now
  for each statement execute function learn_changed_search_words();

alter table products
  -- The colours of the live variants, in lower case; kept by a trigger of the variants.
  add column colours text[] not null default '{}',
  -- Units sold in the last months; kept by a job.
  add column popularity int not null default 0 check (popularity >= 0);

create function variant_colours(product uuid) returns text[] language sql stable as $$
  select coalesce(array_agg(distinct lower(o ->> 'value') order by lower(o ->> 'value')), '{}')
  from variants v, jsonb_array_elements(v.options) o
  where v.product_id = product and v.archived_at is null and lower(o ->> 'name') in ('color', 'colour')
$$;
create function keep_product_colours() returns trigger language plpgsql as $$
begin
  update products p set colours = n.colours
  from (select id, variant_colours(id) as colours from (select distinct product_id as id from changed) c order by id) n
  where p.id = n.id and p.colours <> n.colours;
  return null;
end $$;
create trigger variants_colours_new after insert on variants referencing new table as changed
  for each statement execute function keep_product_colours();
create trigger variants_colours_changed after update on variants referencing new table as changed
  for each statement execute function keep_product_colours();
create trigger variants_colours_gone after delete on variants referencing old table as changed
  for each statement execute function keep_product_colours();

-- What is there already.
update products set title = title, colours = variant_colours(id);

create index products_colours on products using gin (colours);
create index products_popular on products (popularity desc, id desc) where archived_at is null and is_active;
create index products_featured on products (created_at desc, id desc)
  where is_featured and archived_at is null and is_active;
-- What the job that counts them changes.
create index products_sold on products (id) where popularity > 0;
-- For moving and removing categories.
create index products_of_category on products (category_id);
create index products_category_id on products (category_id, id) where archived_at is null and is_active;
create index variants_sku_prefix on variants (lower(sku) text_pattern_ops);
