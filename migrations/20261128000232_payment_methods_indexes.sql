-- A transfer is recorded once, whichever order it is said to be for.
create unique index payments_received_once on payments (provider, lower(received_reference))
  where received_reference is not null;
-- Orders that are still to be paid on delivery, by who has placed them: one buyer has only so many.
create index orders_owed_by_email on orders (email)
  where payment_method = 'pay_on_delivery' and paid_at is null
    and status in ('processing', 'shipped', 'delivered', 'return_requested');
create index orders_owed_by_phone on orders ((shipping_address ->> 'phone'))
  where payment_method = 'pay_on_delivery' and paid_at is null
    and status in ('processing', 'shipped', 'delivered', 'return_requested');
