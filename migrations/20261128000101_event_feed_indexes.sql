-- By these the readers of events go on.
create index order_events_feed on order_events (txid, id);
create index stock_movements_feed on stock_movements (txid, id);
