-- Reads the tables without keeping writers out.
alter table products validate constraint products_compare_at_above_price;
alter table variants validate constraint variants_compare_at_above_price;
