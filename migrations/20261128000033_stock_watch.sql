-- Variants whose stock is low, as far as the last look found. An index over on_hand - reserved would answer the same, but
-- each order would have to change it, and its update of the level could not stay on its page any more (HOT).
create table stock_low (
  variant_id uuid primary key references variants,
  since timestamptz not null,
  -- Whether a mail has yet to tell.
  untold boolean not null
);
create index stock_low_untold on stock_low (variant_id) where untold;

-- How far the watch has read the ledger. Numbers of movements are taken before the commit, so one below the last that was
-- seen may still come; none comes at or below `settled_id`.
create table stock_watch (
  id int primary key default 1 check (id = 1),
  settled_id bigint not null,
  -- The last movement that was seen, and the first transaction that had not begun then.
  seen_id bigint not null,
  seen_before xid8 not null,
  -- When all levels were last looked at, one by one.
  walked_at timestamptz,
  check (settled_id <= seen_id)
);
insert into stock_watch (settled_id, seen_id, seen_before)
select last, last, pg_snapshot_xmax(pg_current_snapshot()) from (select coalesce(max(id), 0) as last from stock_movements) m;
