-- Taxes and shipping as the shop keeps them.

-- Compares texts in the exclusion constraint of taxes.
create extension if not exists btree_gist;

-- Counts the changes of all tables below, in their own transactions. Whoever has priced something by what he read of them knows
-- by this number whether it is still true.
create table rates_version (
  one boolean primary key default true check (one),
  version bigint not null default 1
);
insert into rates_version default values;

-- Whoever is about to change taxes or shipping waits for the one who does.
create function lock_rates() returns void language sql as
$$ select from rates_version for update $$;

create function rates_change() returns trigger language plpgsql as $$
begin
  update rates_version set version = version + 1;
  return null;
end $$;

create table taxes (
  id uuid primary key,
  name text not null check (length(name) between 1 and 60),
  -- ISO 3166, or * for every place that has no tax of its own.
  country text not null,
  -- Null: the whole country.
  region text,
  rate_basis_points int not null check (rate_basis_points between 0 and 10000),
  -- Whether prices have it in them; else it comes on top.
  is_included boolean not null,
  on_shipping boolean not null,
  effective_from timestamptz not null,
  -- Not in force any more from then on. Null: open.
  effective_until timestamptz,
  version int not null default 1,
  constraint taxes_place check (country ~ '^[A-Z]{2}$' or country = '*' and region is null),
  constraint taxes_period check (effective_until > effective_from),
  constraint taxes_one_at_a_time exclude using gist (
    lower(name) with =, country with =, lower(coalesce(region, '')) with =,
    tstzrange(effective_from, effective_until) with &&)
);
create trigger taxes_change before insert or update or delete or truncate on taxes
  for each statement execute function rates_change();

create table shipping_zones (
  id uuid primary key,
  name text not null check (length(name) between 1 and 80),
  version int not null default 1
);
create unique index shipping_zones_name_key on shipping_zones (lower(name));
create trigger shipping_zones_change before insert or update or delete or truncate on shipping_zones
  for each statement execute function rates_change();

-- Where a zone is.
create table shipping_places (
  zone_id uuid not null references shipping_zones on delete cascade,
  -- As in taxes.
  country text not null,
  region text,
  constraint shipping_places_place check (country ~ '^[A-Z]{2}$' or country = '*' and region is null)
);
create unique index shipping_places_key on shipping_places (country, lower(region)) nulls not distinct;
create index shipping_places_zone_id on shipping_places (zone_id);
create trigger shipping_places_change before insert or update or delete or truncate on shipping_places
  for each statement execute function rates_change();

create table shipping_methods (
  id uuid primary key,
  zone_id uuid not null references shipping_zones on delete cascade,
  code text not null check (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(code) <= 120),
  name text not null check (length(name) between 1 and 80),
  -- From nothing on, until a tier says otherwise: so a method always has a price.
  price_minor bigint not null check (price_minor between 0 and 1000000000000),
  min_days int not null check (min_days >= 0),
  max_days int not null check (max_days <= 365),
  -- Goods worth so much after discount travel free. Null: never.
  free_from_minor bigint check (free_from_minor > 0),
  pays_on_delivery boolean not null,
  -- The shopper comes for it.
  is_pickup boolean not null,
  -- Where and how.
  pickup_details text check (length(pickup_details) between 1 and 500),
  -- What is heavier is not carried. Null: no limit.
  max_grams bigint check (max_grams > 0),
  is_active boolean not null,
  position int not null check (position >= 0),
  version int not null default 1,
  constraint shipping_methods_code_key unique (zone_id, code),
  constraint shipping_methods_days check (min_days <= max_days),
  constraint shipping_methods_details_of_pickup check (is_pickup or pickup_details is null)
);
create trigger shipping_methods_change before insert or update or delete or truncate on shipping_methods
  for each statement execute function rates_change();

-- Other prices of a method. Of those whose bounds are reached, the one with the greatest weight, then the greatest total, counts.
create table shipping_tiers (
  method_id uuid not null references shipping_methods on delete cascade,
  from_grams bigint not null check (from_grams >= 0),
  from_total_minor bigint not null check (from_total_minor >= 0),
  price_minor bigint not null check (price_minor between 0 and 1000000000000),
  primary key (method_id, from_grams, from_total_minor),
  constraint shipping_tiers_begin_above_nothing check (from_grams > 0 or from_total_minor > 0)
);
create trigger shipping_tiers_change before insert or update or delete or truncate on shipping_tiers
  for each statement execute function rates_change();

-- Nigeria: 7.5 % since 1 February 2020 (Finance Act 2019). Ghana: 15 % and the levies for health insurance and education, all on
-- one base, since 1 January 2026 (Value Added Tax Act 2025, Act 1151).
insert into taxes (id, name, country, rate_basis_points, is_included, on_shipping, effective_from)
values
  ('019ac800-0000-7000-8000-000000000001', 'VAT', 'NG', 750, false, false, '2020-02-01 00:00+01'),
  ('019ac800-0000-7000-8000-000000000002', 'VAT', 'GH', 1500, false, false, '2026-01-01 00:00+00'),
  ('019ac800-0000-7000-8000-000000000003', 'NHIL', 'GH', 250, false, false, '2026-01-01 00:00+00'),
  ('019ac800-0000-7000-8000-000000000004', 'GETFund', 'GH', 250, false, false, '2026-01-01 00:00+00');

insert into shipping_zones (id, name)
values
  ('019ac800-0000-7000-8000-000000000011', 'Nigeria'),
  ('019ac800-0000-7000-8000-000000000012', 'Ghana'),
  ('019ac800-0000-7000-8000-000000000013', 'Rest of the world');

insert into shipping_places (zone_id, country)
values
  ('019ac800-0000-7000-8000-000000000011', 'NG'),
  ('019ac800-0000-7000-8000-000000000012', 'GH'),
  ('019ac800-0000-7000-8000-000000000013', '*');

-- The same everywhere, until the shop sets its own.
insert into shipping_methods
  (id, zone_id, code, name, price_minor, min_days, max_days, pays_on_delivery, is_pickup, is_active, position)
select ('019ac800-0000-7000-8000-0000000001' || right(z.id::text, 1) || m.position)::uuid, z.id, m.code, m.name, m.price_minor,
       m.min_days, m.max_days, false, false, true, m.position
from shipping_zones z,
  (values
    (0, 'standard', 'Standard (5–7 days)', 250000, 5, 7),
    (1, 'express', 'Express (2–3 days)', 500000, 2, 3),
    (2, 'overnight', 'Overnight (1 day)', 900000, 1, 1)
  ) as m (position, code, name, price_minor, min_days, max_days);
