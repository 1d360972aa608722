create table carts (
  id uuid primary key,
  user_id uuid references users on delete cascade,
  -- SHA-256 of a guest's cart token.
  token_hash bytea check (length(token_hash) = 32),
  status text not null default 'open' check (status in ('open', 'ordered')),
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- Guests only; moved forward at each use.
  expires_at timestamptz,
  constraint carts_one_owner check ((user_id is null) <> (token_hash is null))
);
create unique index carts_open_of_user on carts (user_id) where status = 'open' and user_id is not null;
create unique index carts_open_of_token on carts (token_hash) where status = 'open' and token_hash is not null;
create index carts_expires_at on carts (expires_at) where status = 'open' and expires_at is not null;

create table cart_items (
  id uuid primary key,
  cart_id uuid not null references carts on delete cascade,
  variant_id uuid not null references variants,
  quantity int not null check (quantity > 0),
  -- The price when the shopper last saw it, only to say that it changed.
  seen_price_minor bigint not null check (seen_price_minor >= 0),
  added_at timestamptz not null,
  constraint cart_items_one_line_a_variant unique (cart_id, variant_id)
);

create sequence order_number_seq;

-- AGP + year + sequence + check character: the weighted sum of the digits modulo 23, without the
-- letters I, O and Q that are misread. A single wrong digit or two swapped neighbours change it.
create function order_number(year int, sequence bigint) returns text language sql immutable strict as $$
  select 'AGP' || digits || substr('ABCDEFGHJKLMNPRSTUVWXYZ', 1 + (
    select sum((i + 1) * substr(digits, i, 1)::int)::int % 23 from generate_series(1, length(digits)) i), 1)
  from (select year::text || lpad(sequence::text, greatest(6, length(sequence::text)), '0') as digits) d
$$;

create table orders (
  id uuid primary key,
  number text not null constraint orders_number_key unique,
  user_id uuid references users,
  cart_id uuid constraint orders_cart_id_key unique references carts,
  email text not null check (email = lower(email)),
  status text not null check (status in ('pending', 'pending_payment', 'paid', 'processing', 'shipped', 'delivered',
    'payment_failed', 'cancelled', 'partially_refunded', 'refunded', 'return_requested', 'returned')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  subtotal_minor bigint not null check (subtotal_minor >= 0),
  discount_minor bigint not null default 0 check (discount_minor between 0 and subtotal_minor),
  shipping_minor bigint not null check (shipping_minor >= 0),
  tax_minor bigint not null check (tax_minor >= 0),
  total_minor bigint not null,
  paid_minor bigint not null default 0 check (paid_minor >= 0),
  shipping_address jsonb not null,
  shipping_method text not null,
  payment_method text not null,
  notes text,
  tracking_number text,
  placed_at timestamptz not null,
  updated_at timestamptz not null,
  paid_at timestamptz,
  -- When the reservation of an unpaid order ends; null once it is paid or closed.
  expires_at timestamptz,
  constraint orders_total_adds_up check (total_minor = subtotal_minor - discount_minor + shipping_minor + tax_minor),
  check ((expires_at is null) or status in ('pending', 'pending_payment', 'payment_failed'))
);
create index orders_user_id on orders (user_id, placed_at desc, id desc);
create index orders_placed_at on orders (placed_at desc, id desc);
create index orders_expires_at on orders (expires_at) where expires_at is not null;

create table order_items (
  id uuid primary key,
  order_id uuid not null references orders,
  position int not null,
  product_id uuid not null references products,
  variant_id uuid not null references variants,
  -- As sold: later edits of the catalogue do not change an order.
  sku text not null,
  title text not null,
  variant_name text not null,
  image_url text,
  unit_price_minor bigint not null check (unit_price_minor >= 0),
  quantity int not null check (quantity > 0),
  total_minor bigint not null,
  tax_minor bigint not null default 0 check (tax_minor >= 0),
  constraint order_items_total_adds_up check (total_minor = unit_price_minor * quantity),
  unique (order_id, variant_id)
);

-- The order's timeline.
create table order_events (
  id bigint generated always as identity primary key,
  order_id uuid not null references orders,
  type text not null,
  from_status text,
  to_status text,
  actor_type text not null check (actor_type in ('customer', 'staff', 'system', 'provider')),
  actor_id uuid,
  note text,
  at timestamptz not null
);
create index order_events_order_id on order_events (order_id, id);
create trigger order_events_append_only before update or delete or truncate on order_events
  for each statement execute function refuse_change();

-- Stock set aside for an unpaid order. It is committed or released exactly once.
create table reservations (
  order_id uuid not null references orders,
  variant_id uuid not null references variants,
  quantity int not null check (quantity > 0),
  status text not null default 'held' check (status in ('held', 'committed', 'released')),
  expires_at timestamptz not null,
  settled_at timestamptz,
  primary key (order_id, variant_id),
  check ((status = 'held') = (settled_at is null))
);
create index reservations_held on reservations (variant_id) where status = 'held';
create index reservations_expire on reservations (expires_at) where status = 'held';
