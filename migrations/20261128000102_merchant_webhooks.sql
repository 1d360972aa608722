-- Addresses that are told of events.
create table webhook_endpoints (
  id uuid primary key,
  url text not null check (length(url) between 1 and 2000),
  description text not null,
  -- Empty: all.
  topics text[] not null,
  is_active boolean not null,
  -- Why the program has turned it off.
  disabled_reason text,
  -- Sealed for this row, as the secrets of two-factor sign-ins are.
  secret bytea not null,
  -- The one before, with which deliveries are signed too until then.
  previous_secret bytea,
  previous_until timestamptz,
  -- The last event that was looked at for it.
  seen_txid bigint not null,
  seen_stream smallint not null check (seen_stream in (0, 1)),
  seen_id bigint not null,
  -- Since when no delivery has succeeded, if the last one failed.
  failing_since timestamptz,
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint webhook_endpoints_previous_ends check ((previous_secret is null) = (previous_until is null)),
  constraint webhook_endpoints_active_is_not_disabled check (not is_active or disabled_reason is null)
);

-- What is to be delivered, and what came of it.
create table webhook_deliveries (
  id uuid primary key,
  -- The order of sending, within one order of the shop.
  seq bigint generated always as identity,
  endpoint_id uuid not null references webhook_endpoints on delete cascade,
  event_id text not null,
  topic text not null,
  order_id uuid,
  -- As it is signed and sent at each try.
  body text not null,
  is_replay boolean not null,
  status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
  attempts int not null default 0 check (attempts >= 0),
  next_at timestamptz not null,
  -- Nobody else tries it before.
  leased_until timestamptz,
  -- What came of the last try.
  response_status int,
  response text check (length(response) <= 1024),
  error text,
  duration_ms int,
  created_at timestamptz not null,
  ended_at timestamptz,
  constraint webhook_deliveries_end_has_time check ((status = 'pending') = (ended_at is null))
);
create unique index webhook_deliveries_once on webhook_deliveries (endpoint_id, event_id) where not is_replay;
create index webhook_deliveries_of_endpoint on webhook_deliveries (endpoint_id, id);
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_at, seq) where status = 'pending';
create index webhook_deliveries_line on webhook_deliveries (endpoint_id, order_id, seq) where status = 'pending';
create index webhook_deliveries_ended on webhook_deliveries (ended_at) where status <> 'pending';

-- After a dump was restored on another server, whose transactions have lower numbers: files all events anew, in the order of their
-- ids. What was there is not told again. Call it while nothing else writes.
create function refile_events() returns void language plpgsql as $$
begin
  alter table order_events disable trigger order_events_unchanged;
  alter table stock_movements disable trigger stock_movements_append_only;
  update order_events set txid = pg_current_xact_id();
  update stock_movements set txid = pg_current_xact_id();
  alter table order_events enable trigger order_events_unchanged;
  alter table stock_movements enable trigger stock_movements_append_only;
  update webhook_endpoints
  set seen_txid = pg_current_xact_id()::text::bigint, seen_stream = 1,
      seen_id = (select coalesce(max(id), 0) from stock_movements);
end $$;
