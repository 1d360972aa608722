-- The number of the first transaction that is open and may be of this database; whatever is written with a lower one is there. Without
-- transactions that are known to be another database's, whose long ones would hold back the events of this one. A transaction that
-- pg_stat_activity does not show (its end, another role's where this one may not look) counts as this database's. Stable, so that it
-- looks at the snapshot of the statement that asks: what commits meanwhile is neither seen by that nor passed over.
create function first_open_txid() returns xid8 language sql stable as $$
  with now as materialized (select pg_current_snapshot() as seen)
  select coalesce(
    (select open from now, pg_snapshot_xip(seen) as open
     where not exists (
       select from pg_stat_activity a
       where a.backend_xid = open::xid and a.datid <> (select oid from pg_database where datname = current_database()))
     order by open limit 1),
    (select pg_snapshot_xmax(seen) from now))
$$;
