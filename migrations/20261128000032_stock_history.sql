-- How staff look through the ledger. None of these costs an order much: the first has one entry for many pages, and the
-- others leave out what orders write.
create index stock_movements_at on stock_movements using brin (at) with (autosummarize = on);
create index stock_movements_reason on stock_movements (reason, id) where reason not in ('reserve', 'commit', 'release');
create index stock_movements_actor on stock_movements (actor_id, id) where actor_id is not null;
