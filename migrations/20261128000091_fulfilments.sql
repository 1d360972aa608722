-- Units of a line: asked back, on their way, in a parcel, ordered. Kept by the triggers below.
alter table order_items
  add column fulfilled_quantity int not null default 0,
  add column shipped_quantity int not null default 0,
  add column returned_quantity int not null default 0,
  add constraint order_items_units check (
    0 <= returned_quantity and returned_quantity <= shipped_quantity and shipped_quantity <= fulfilled_quantity
    and fulfilled_quantity <= quantity) not valid;

alter table orders
  -- How much of it has left the house.
  add column fulfilment_status text not null default 'unfulfilled',
  add constraint orders_fulfilment_status check (fulfilment_status in ('unfulfilled', 'partial', 'fulfilled')) not valid;

-- A parcel.
create table fulfilments (
  id uuid primary key,
  order_id uuid not null references orders,
  -- Counts the parcels of the order.
  number int not null check (number > 0),
  status text not null default 'packed' check (status in ('packed', 'shipped', 'delivered', 'cancelled')),
  carrier text check (carrier in ('dhl', 'fedex', 'ups', 'gig_logistics', 'nipost', 'ghana_post', 'ems', 'aramex', 'other')),
  tracking_number text check (length(tracking_number) between 1 and 100),
  tracking_url text check (tracking_url ~ '^https://'),
  -- For the buyer.
  note text,
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  shipped_at timestamptz,
  delivered_at timestamptz,
  constraint fulfilments_number unique (order_id, number),
  constraint fulfilments_times check (
    (shipped_at is not null) = (status in ('shipped', 'delivered')) and (delivered_at is not null) = (status = 'delivered'))
);
create index fulfilments_tracking_number on fulfilments (lower(tracking_number)) where tracking_number is not null;

create table fulfilment_items (
  fulfilment_id uuid not null references fulfilments,
  order_item_id uuid not null references order_items,
  quantity int not null check (quantity > 0),
  primary key (fulfilment_id, order_item_id)
);
create index fulfilment_items_order_item_id on fulfilment_items (order_item_id);
create trigger fulfilment_items_only_grow before update or delete or truncate on fulfilment_items
  for each statement execute function refuse_change();

-- A parcel is begun for an order that is paid and not closed. The order stays as it is until the transaction ends.
create function begin_fulfilment() returns trigger language plpgsql as $$
begin
  perform from orders where id = new.order_id and status in ('paid', 'processing', 'partially_refunded') for share;
  if not found or new.status <> 'packed' then
    raise exception 'a parcel begins packed, for an order that is paid'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'fulfilments_of_paid_orders';
  end if;
  return new;
end $$;
create trigger fulfilments_of_paid_orders before insert on fulfilments for each row execute function begin_fulfilment();

-- The row of the line is locked by the update, so parallel parcels are counted one after the other.
create function count_fulfilment_item() returns trigger language plpgsql as $$
begin
  update order_items i set fulfilled_quantity = i.fulfilled_quantity + new.quantity
  from fulfilments f
  where f.id = new.fulfilment_id and f.status = 'packed' and i.id = new.order_item_id and i.order_id = f.order_id;
  if not found then
    raise exception 'a parcel holds lines of its own order'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'fulfilment_items_of_the_order';
  end if;
  return new;
end $$;
create trigger fulfilment_items_counted after insert on fulfilment_items
  for each row execute function count_fulfilment_item();

create function follow_fulfilment() returns trigger language plpgsql as $$
begin
  if (old.status, new.status) not in (('packed', 'shipped'), ('packed', 'cancelled'), ('shipped', 'delivered')) then
    raise exception 'a parcel does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'fulfilments_moves';
  end if;
  if new.status in ('shipped', 'cancelled') then
    update order_items i
    set shipped_quantity = i.shipped_quantity + case when new.status = 'shipped' then f.quantity else 0 end,
        fulfilled_quantity = i.fulfilled_quantity - case when new.status = 'cancelled' then f.quantity else 0 end
    from fulfilment_items f where f.fulfilment_id = new.id and i.id = f.order_item_id;
  end if;
  return new;
end $$;
create trigger fulfilments_moves after update of status on fulfilments for each row when (new.status <> old.status)
  execute function follow_fulfilment();

-- What is packed is unpacked before an order is cancelled, and what has left the house cannot be.
create function refuse_to_cancel_sent_orders() returns trigger language plpgsql as $$
begin
  if exists (select from fulfilments where order_id = new.id and status <> 'cancelled') then
    raise exception 'an order with parcels is not cancelled'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'orders_cancelled_unsent';
  end if;
  return new;
end $$;
create trigger orders_cancelled_unsent before update of status on orders for each row
  when (new.status = 'cancelled' and old.status <> 'cancelled') execute function refuse_to_cancel_sent_orders();
