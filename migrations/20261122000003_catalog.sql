create table categories (
  id uuid primary key,
  parent_id uuid references categories,
  name text not null check (length(name) between 1 and 120),
  slug text not null constraint categories_slug_key unique check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  position int not null default 0,
  created_at timestamptz not null,
  check (parent_id <> id)
);
create index categories_parent_id on categories (parent_id);

create table products (
  id uuid primary key,
  sku text not null constraint products_sku_key unique check (length(sku) between 1 and 64),
  -- The key by which a product file knows this product; a rerun of the import updates the same row.
  import_handle text constraint products_import_handle_key unique,
  -- SHA-256 of what the file last said, so that a rerun leaves untouched what has not changed.
  import_hash bytea check (length(import_hash) = 32),
  title text not null check (length(title) between 1 and 200),
  slug text not null constraint products_slug_key unique check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  short_description text not null default '',
  description text not null default '',
  full_story text not null default '',
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  -- The price that a variant without a modifier has, in minor units.
  price_minor bigint not null check (price_minor between 0 and 1000000000000),
  compare_at_minor bigint check (compare_at_minor between 0 and 1000000000000),
  category_id uuid references categories,
  vendor text,
  tags text[] not null default '{}',
  -- Grams.
  weight_grams int check (weight_grams >= 0),
  width double precision check (width >= 0),
  length double precision check (length >= 0),
  dimension_unit text not null default 'inches',
  weave_origin text not null default '',
  care_instructions text not null default '',
  dispatch_time text not null default '',
  is_featured boolean not null default false,
  is_limited boolean not null default false,
  is_active boolean not null default true,
  metadata jsonb not null default '{}',
  rating double precision not null default 0 check (rating between 0 and 5),
  review_count int not null default 0 check (review_count >= 0),
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz,
  search tsvector not null default ''
);

-- Title weighs most, then tags and sku, then the texts.
create function product_search_document() returns trigger language plpgsql as $$
begin
  new.search :=
    setweight(to_tsvector('english', fold(new.title)), 'A') ||
    setweight(to_tsvector('simple', fold(new.title)), 'A') ||
    setweight(to_tsvector('simple', fold(array_to_string(new.tags, ' ') || ' ' || new.sku)), 'B') ||
    setweight(to_tsvector('english', fold(new.short_description || ' ' || new.description || ' ' || new.full_story
      || ' ' || new.weave_origin || ' ' || coalesce(new.vendor, ''))), 'C');
  return new;
end $$;
create trigger products_search before insert or update of title, tags, sku, short_description, description,
  full_story, weave_origin, vendor on products for each row execute function product_search_document();

create index products_search on products using gin (search);
create index products_title_trigram on products using gin (fold(title) gin_trgm_ops);
create index products_newest on products (created_at desc, id desc) where archived_at is null and is_active;
create index products_price on products (price_minor, id) where archived_at is null and is_active;
create index products_title on products (fold(title), id) where archived_at is null and is_active;
create index products_category on products (category_id, created_at desc, id desc) where archived_at is null and is_active;
create index products_tags on products using gin (tags);

create table product_images (
  id uuid primary key,
  product_id uuid not null references products on delete cascade,
  -- Absolute, or a path on this server that starts with /media/.
  url text not null check (length(url) between 1 and 2000),
  alt text not null default '',
  type text not null default 'detail' check (type in ('main', 'detail', 'lifestyle', 'texture')),
  position int not null check (position >= 0)
);
create index product_images_product_id on product_images (product_id, position);

-- What is sold. A product without options has exactly one variant.
create table variants (
  id uuid primary key,
  product_id uuid not null references products,
  sku text not null constraint variants_sku_key unique check (length(sku) between 1 and 64),
  -- [{"name": "Colour", "value": "Gold"}, …]; empty for a product without options.
  options jsonb not null default '[]' check (jsonb_typeof(options) = 'array'),
  -- What one unit costs, in minor units of the product's currency.
  price_minor bigint not null check (price_minor between 0 and 1000000000000),
  compare_at_minor bigint check (compare_at_minor between 0 and 1000000000000),
  barcode text,
  weight_grams int check (weight_grams >= 0),
  image_url text,
  position int not null check (position >= 0),
  archived_at timestamptz
);
create index variants_product_id on variants (product_id, position);
-- One live variant for each combination of options.
create unique index variants_options_key on variants (product_id, options) where archived_at is null;
