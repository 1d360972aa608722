alter table stock_movements validate constraint stock_movements_reason;
alter table order_items validate constraint order_items_units;
alter table orders validate constraint orders_fulfilment_status;
