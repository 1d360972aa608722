create table returns (
  id uuid primary key,
  order_id uuid not null references orders,
  -- Counts the returns of the order.
  number int not null check (number > 0),
  status text not null default 'requested' check (status in ('requested', 'approved', 'rejected', 'received', 'cancelled')),
  requested_by text not null check (requested_by in ('customer', 'staff')),
  -- The words of whoever asked.
  note text,
  -- The staff's words about it.
  answer text,
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  received_at timestamptz,
  constraint returns_number unique (order_id, number),
  constraint returns_received_has_time check ((received_at is not null) = (status = 'received'))
);
-- One at a time, as the order has one status.
create unique index returns_one_open on returns (order_id) where status in ('requested', 'approved');

create table return_items (
  return_id uuid not null references returns,
  order_item_id uuid not null references order_items,
  quantity int not null check (quantity > 0),
  reason text not null check (reason in ('damaged', 'wrong_item', 'not_as_described', 'changed_mind', 'other')),
  -- Units that were good enough to be sold again; null until the goods are here.
  restocked int constraint return_items_restocked check (restocked between 0 and quantity),
  primary key (return_id, order_item_id)
);
create index return_items_order_item_id on return_items (order_item_id);

-- Counted as soon as it is asked for; the CHECK on the line refuses more than was sent.
create function count_return_item() returns trigger language plpgsql as $$
begin
  update order_items i set returned_quantity = i.returned_quantity + new.quantity
  from returns r where r.id = new.return_id and r.status = 'requested' and i.id = new.order_item_id and i.order_id = r.order_id;
  if not found then
    raise exception 'a return holds lines of its own order'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'return_items_of_the_order';
  end if;
  return new;
end $$;
create trigger return_items_counted after insert on return_items for each row execute function count_return_item();
create function refuse_change_but_restocked() returns trigger language plpgsql as $$
begin
  if old.restocked is null and to_jsonb(new) - 'restocked' = to_jsonb(old) - 'restocked' then
    return new;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger return_items_unchanged before update on return_items
  for each row execute function refuse_change_but_restocked();
create trigger return_items_only_grow before delete or truncate on return_items
  for each statement execute function refuse_change();

create function follow_return() returns trigger language plpgsql as $$
begin
  if (old.status, new.status) not in (('requested', 'approved'), ('requested', 'rejected'), ('requested', 'cancelled'),
      ('approved', 'received'), ('approved', 'rejected'), ('approved', 'cancelled')) then
    raise exception 'a return does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'returns_moves';
  end if;
  if new.status in ('rejected', 'cancelled') then
    update order_items i set returned_quantity = i.returned_quantity - r.quantity
    from return_items r where r.return_id = new.id and i.id = r.order_item_id;
  end if;
  return new;
end $$;
create trigger returns_moves after update of status on returns for each row when (new.status <> old.status)
  execute function follow_return();
