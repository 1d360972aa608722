alter table order_items validate constraint order_items_cancelled;
alter table reservations validate constraint reservations_restocked;
