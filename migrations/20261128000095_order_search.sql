-- How staff look for orders: by status, by sum, by country, and by a part of what they know of the buyer.
create index orders_status on orders (status, placed_at desc, id desc);
create index orders_total on orders (total_minor desc, id desc);
create index orders_country on orders ((shipping_address ->> 'country'), placed_at desc, id desc);
create index orders_partly_sent on orders (placed_at desc, id desc) where fulfilment_status = 'partial';
create function order_search_text(number text, email text, address jsonb) returns text language sql immutable as $$
  select public.fold(number || ' ' || email || ' ' || coalesce(address ->> 'firstName', '') || ' '
    || coalesce(address ->> 'lastName', '') || ' ' || coalesce(address ->> 'phone', ''))
$$;
-- New entries wait in a short list, so that placing an order does not pay for a long one.
create index orders_search on orders using gin (order_search_text(number, email, shipping_address) gin_trgm_ops)
  with (gin_pending_list_limit = 256);
