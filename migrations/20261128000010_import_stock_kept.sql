-- Variants of which a file counted another stock than the shop, whose count was kept.
alter table imports add column stock_kept bigint not null default 0 check (stock_kept >= 0);
