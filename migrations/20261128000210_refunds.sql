-- Money that goes back: who asked for it, how it is sent, and what came of it. The row's id is in the provider's note, by which
-- a refund is found again whose answer was lost.
alter table refunds
  add column origin text not null default 'system'
    constraint refunds_origin check (origin in ('staff', 'system', 'provider', 'manual', 'dispute')),
  -- The member of the staff who asked.
  add column requested_by uuid,
  -- The refund that failed and that this one stands in for.
  add column retry_of uuid constraint refunds_retry_of_fkey references refunds,
  -- The return that it pays for.
  add column return_id uuid references returns,
  add column provider_refund_id bigint,
  -- How often it was sent.
  add column attempts int not null default 0,
  -- The words of the last failure, for the staff.
  add column last_error text,
  -- The last time it was sent. While it is pending, nobody knows whether the provider has it.
  add column sent_at timestamptz,
  -- When somebody began to work on it; old ones are of a process that died.
  add column claimed_at timestamptz,
  -- When the provider was last asked about it.
  add column checked_at timestamptz,
  add column processed_at timestamptz,
  -- The end of the bank account that the staff named.
  add column account_last4 text constraint refunds_account_last4 check (account_last4 ~ '^[0-9]{1,4}$'),
  -- Whether the buyer is written to.
  add column notify boolean not null default true,
  add constraint refunds_processed_at check ((processed_at is not null) = (status = 'processed')),
  add constraint refunds_staff check ((origin in ('staff', 'manual')) = (requested_by is not null)),
  add constraint refunds_manual check (origin <> 'manual' or status = 'processed'),
  add constraint refunds_known check (origin not in ('provider', 'dispute') or status <> 'pending');
create unique index refunds_provider_refund_id on refunds (provider_refund_id) where provider_refund_id is not null;
-- The provider's notices name a transaction and an amount, so one refund of a payment is on its way there at a time.
create unique index refunds_one_sent on refunds (payment_id) where status = 'pending' and sent_at is not null;
create unique index refunds_retried_once on refunds (retry_of) where retry_of is not null;
create unique index refunds_one_for_a_return on refunds (return_id) where return_id is not null and status <> 'failed';
create index refunds_created_at on refunds (created_at desc, id desc);
create index refunds_open on refunds (updated_at) where status in ('pending', 'processing', 'needs_attention');

-- The moves that a refund may make. The program has the same table (REFUND_MOVES); a test compares them.
create table refund_moves (
  from_status text not null,
  to_status text not null,
  primary key (from_status, to_status)
);
insert into refund_moves values
  ('pending', 'processing'), ('pending', 'processed'), ('pending', 'failed'), ('pending', 'needs_attention'),
  ('processing', 'processed'), ('processing', 'failed'), ('processing', 'needs_attention'),
  ('needs_attention', 'processing'), ('needs_attention', 'processed'), ('needs_attention', 'failed');
create trigger refund_moves_are_given before insert or update or delete or truncate on refund_moves
  for each statement execute function refuse_change();

create function follow_refund_moves() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'pending' and new.origin in ('staff', 'system') then
      raise exception 'a refund begins pending'
        using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_moves';
    end if;
    return new;
  end if;
  if new.status <> old.status
     and not exists (select from refund_moves where from_status = old.status and to_status = new.status) then
    raise exception 'a refund does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_moves';
  end if;
  if (new.payment_id, new.amount_minor, new.origin, new.retry_of, new.return_id, new.created_at)
     is distinct from (old.payment_id, old.amount_minor, old.origin, old.retry_of, old.return_id, old.created_at)
     or new.provider_refund_id is distinct from old.provider_refund_id and old.provider_refund_id is not null then
    raise exception 'what a refund gives back does not change'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_unchanged';
  end if;
  return new;
end $$;
create trigger refunds_moves before insert or update on refunds for each row execute function follow_refund_moves();

-- Whoever only notes something on a refund locks no payment.
drop trigger refunds_counted on refunds;
create trigger refunds_counted after insert on refunds for each row execute function count_refund();
create trigger refunds_recounted after update of status on refunds for each row when (new.status <> old.status)
  execute function count_refund();

create or replace function tell_refund() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into order_events (order_id, type, actor_type, actor_id, amount_minor, at)
    select order_id, 'refund_' || new.status,
           case when new.origin in ('staff', 'manual') then 'staff' when new.origin = 'system' then 'system' else 'provider' end,
           new.requested_by, new.amount_minor, new.updated_at
    from payments where id = new.payment_id;
  elsif new.status <> old.status then
    insert into order_events (order_id, type, actor_type, amount_minor, at)
    select order_id, 'refund_' || new.status, 'provider', new.amount_minor, new.updated_at
    from payments where id = new.payment_id;
  end if;
  return null;
end $$;

-- For which units of the order the money is.
create table refund_items (
  refund_id uuid not null references refunds,
  order_item_id uuid not null references order_items,
  quantity int not null check (quantity > 0),
  -- Whether they went back on the shelf instead of into a parcel.
  restocked boolean not null,
  primary key (refund_id, order_item_id)
);
create index refund_items_order_item_id on refund_items (order_item_id);
create trigger refund_items_only_grow before update or delete or truncate on refund_items
  for each statement execute function refuse_change();

alter table order_items
  -- Units that are on the shelf again and are not sent. Kept by the trigger below.
  add column cancelled_quantity int not null default 0,
  add constraint order_items_cancelled check (
    0 <= cancelled_quantity and fulfilled_quantity + cancelled_quantity <= quantity) not valid;
-- The row of the line is locked by the update, so a refund and a parcel of the same units are counted one after the other.
create function count_refund_item() returns trigger language plpgsql as $$
begin
  update order_items i
  set cancelled_quantity = i.cancelled_quantity + case when new.restocked then new.quantity else 0 end
  from refunds r join payments p on p.id = r.payment_id
  where r.id = new.refund_id and i.id = new.order_item_id and i.order_id = p.order_id;
  if not found then
    raise exception 'a refund is for lines of its own order'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'refund_items_of_the_order';
  end if;
  return new;
end $$;
create trigger refund_items_counted after insert on refund_items for each row execute function count_refund_item();

-- Units of a sale that are on the shelf again, so that cancelling the order puts back the others only.
alter table reservations
  add column restocked int not null default 0,
  add constraint reservations_restocked check (restocked between 0 and quantity) not valid;

-- What was decided about money that does not fit its order.
alter table payments
  -- The currency that the money came in, where it is another one.
  add column paid_currency text constraint payments_paid_currency check (paid_currency ~ '^[A-Z]{3}$'),
  add column decision text constraint payments_decision check (decision in ('accept', 'refund')),
  -- None: the program, by its rules.
  add column decided_by uuid,
  add column decided_at timestamptz,
  add column decision_note text,
  add constraint payments_decided check ((decision is null) = (decided_at is null));
-- With orders that were given up, money that did not fit them was asked back already.
update payments set decision = 'refund', decided_at = updated_at where status = 'flagged' and refunded_minor = paid_minor;
create index payments_order_number on payments (order_number);
create index payments_created_at on payments (created_at desc, id desc);
create index payments_undecided on payments (created_at desc, id desc) where status = 'flagged' and decision is null;
