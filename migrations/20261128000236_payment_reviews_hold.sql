alter table orders validate constraint orders_on_review;
