-- Money that does not come by the provider: a bank transfer that staff have seen, and what the buyer gives at the door.
alter table payments
  -- The bank's or the courier's name for money that staff recorded.
  add column received_reference text,
  add constraint payments_received_reference check (length(received_reference) between 1 and 100) not valid,
  drop constraint payments_provider_check,
  add constraint payments_provider check (provider in ('paystack', 'manual_transfer', 'pay_on_delivery')) not valid;

-- Staff say that money came. An order that is paid on delivery is accepted without money, and its buyer may give it up as long
-- as nothing of it is packed.
alter table order_moves disable trigger order_moves_are_given;
insert into order_moves (from_status, to_status, actor_type)
values
  ('pending_payment', 'processing', 'system'),
  ('pending_payment', 'paid', 'staff'),
  ('payment_failed', 'paid', 'staff'),
  ('cancelled', 'paid', 'staff'),
  ('processing', 'cancelled', 'customer');
alter table order_moves enable trigger order_moves_are_given;

-- Nothing else is accepted without money.
create function refuse_to_accept_unpaid_orders() returns trigger language plpgsql as $$
begin
  raise exception 'an order is accepted without money only to be paid on delivery'
    using errcode = 'check_violation', table = tg_table_name, constraint = 'orders_accepted_on_delivery';
end $$;
create trigger orders_accepted_on_delivery before update of status on orders for each row
  when (old.status = 'pending_payment' and new.status = 'processing' and new.payment_method <> 'pay_on_delivery')
  execute function refuse_to_accept_unpaid_orders();
