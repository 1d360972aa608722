-- The moves that an order may make, and who may make each. The program has the same table (MOVES); a test compares them.
create table order_moves (
  from_status text not null,
  to_status text not null,
  actor_type text not null check (actor_type in ('customer', 'staff', 'system', 'provider')),
  primary key (from_status, to_status, actor_type)
);
insert into order_moves (from_status, to_status, actor_type)
select m.from_status, m.to_status, unnest(string_to_array(m.actors, ' ')) from (values
  ('pending', 'pending_payment', 'customer system'),
  ('pending', 'cancelled', 'customer staff system'),
  ('pending_payment', 'payment_failed', 'provider'),
  ('pending_payment', 'paid', 'provider'),
  ('pending_payment', 'cancelled', 'customer staff system'),
  ('payment_failed', 'pending_payment', 'customer'),
  ('payment_failed', 'paid', 'provider'),
  ('payment_failed', 'cancelled', 'customer staff system'),
  ('cancelled', 'paid', 'provider'),
  ('paid', 'processing', 'staff'),
  ('paid', 'shipped', 'staff'),
  ('paid', 'cancelled', 'customer staff'),
  ('paid', 'partially_refunded', 'staff system provider'),
  ('paid', 'refunded', 'staff system provider'),
  ('processing', 'shipped', 'staff'),
  ('processing', 'cancelled', 'staff'),
  ('processing', 'partially_refunded', 'staff system provider'),
  ('processing', 'refunded', 'staff system provider'),
  ('shipped', 'delivered', 'staff'),
  ('shipped', 'return_requested', 'customer staff'),
  ('shipped', 'partially_refunded', 'staff system provider'),
  ('shipped', 'refunded', 'staff system provider'),
  ('delivered', 'return_requested', 'customer staff'),
  ('delivered', 'partially_refunded', 'staff system provider'),
  ('delivered', 'refunded', 'staff system provider'),
  ('return_requested', 'returned', 'staff'),
  ('return_requested', 'shipped', 'customer staff'),
  ('return_requested', 'delivered', 'customer staff'),
  ('returned', 'partially_refunded', 'staff system provider'),
  ('returned', 'refunded', 'staff system provider'),
  ('partially_refunded', 'processing', 'staff'),
  ('partially_refunded', 'shipped', 'staff'),
  ('partially_refunded', 'delivered', 'staff'),
  ('partially_refunded', 'return_requested', 'customer staff'),
  ('partially_refunded', 'refunded', 'staff system provider')
) as m (from_status, to_status, actors);
create trigger order_moves_are_given before insert or update or delete or truncate on order_moves
  for each statement execute function refuse_change();

alter table orders
  -- Counts all changes, for optimistic locking.
  add column version int not null default 1;

create function follow_order_moves() returns trigger language plpgsql as $$
begin
  if new.status <> old.status
     and not exists (select from order_moves where from_status = old.status and to_status = new.status) then
    raise exception 'an order does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'orders_moves';
  end if;
  new.version := old.version + 1;
  return new;
end $$;
create trigger orders_moves before update on orders for each row execute function follow_order_moves();

-- Who made a move is in its event.
alter table order_events
  -- Whether the note is for the staff only.
  add column internal boolean not null default false;
create function follow_event_moves() returns trigger language plpgsql as $$
begin
  if not exists (select from order_moves where from_status = new.from_status and to_status = new.to_status
                   and actor_type = new.actor_type) then
    raise exception '% does not make an order % from %', new.actor_type, new.to_status, new.from_status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'order_events_moves';
  end if;
  return new;
end $$;
create trigger order_events_moves before insert on order_events for each row when (new.from_status is not null)
  execute function follow_event_moves();
