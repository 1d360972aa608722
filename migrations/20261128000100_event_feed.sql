-- The timeline and the ledger are the shop's outbox. Readers may not go by ids, which are given before the commit: who has read
-- up to 10 would miss a 9 that commits later. They go by (txid, id), and only up to the first transaction that is still open
-- (pg_snapshot_xmin): whatever comes later stands behind.
alter table order_events
  -- The transaction that wrote it, or that of an earlier event of the order where its number is higher.
  add column txid xid8 not null default pg_current_xact_id(),
  -- The money that the event is about.
  add column amount_minor bigint constraint order_events_amount check (amount_minor >= 0);
alter table stock_movements add column txid xid8 not null default pg_current_xact_id();

-- A transaction may get its number before it waits for the order, and then its event would stand before those that it has waited
-- for. It stands behind them instead. Nobody has read so far meanwhile, because this transaction is still open.
create function keep_order_of_events() returns trigger language plpgsql as $$
begin
  new.txid := greatest(new.txid, (select max(txid) from order_events where order_id = new.order_id));
  return new;
end $$;
create trigger order_events_in_order before insert on order_events for each row when (new.type <> 'placed')
  execute function keep_order_of_events();

-- Money that goes back is told in the transaction that says so, whoever it is.
create function tell_refund() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' or new.status <> old.status then
    insert into order_events (order_id, type, actor_type, amount_minor, at)
    select order_id, 'refund_' || new.status, case when tg_op = 'INSERT' then 'system' else 'provider' end, new.amount_minor,
           new.updated_at
    from payments where id = new.payment_id;
  end if;
  return null;
end $$;
create trigger refunds_told after insert or update on refunds for each row execute function tell_refund();
