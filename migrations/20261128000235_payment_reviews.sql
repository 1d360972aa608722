-- What the rules against fraud have found about an attempt to pay, and what the staff decided.
create table payment_reviews (
  payment_id uuid primary key references payments,
  order_id uuid not null references orders,
  -- Of the buyer's e-mail and of the address of his computer, under a key of the server. They go after some days.
  customer bytea check (length(customer) = 32),
  ip_hash bytea check (length(ip_hash) = 32),
  -- The sum of the weights of the rules that were met.
  score int not null check (score >= 0),
  -- [{"rule", "weight", "reason"}]
  rules jsonb not null,
  -- none: the order goes its way; pending: it is paid and waits for the staff.
  status text not null default 'none' check (status in ('none', 'pending', 'approved', 'rejected')),
  started_at timestamptz not null,
  decided_by uuid,
  decided_at timestamptz,
  note text check (length(note) between 1 and 1000),
  constraint payment_reviews_decision_has_time check ((status in ('approved', 'rejected')) = (decided_at is not null))
);
-- The rules count by these.
create index payment_reviews_customer on payment_reviews (customer, started_at) where customer is not null;
create index payment_reviews_ip_hash on payment_reviews (ip_hash, started_at) where ip_hash is not null;
-- What is personal goes by this.
create index payment_reviews_personal on payment_reviews (started_at) where customer is not null or ip_hash is not null;
create index payment_reviews_order_id on payment_reviews (order_id);
-- The queue of the staff.
create index payment_reviews_queue on payment_reviews (status, payment_id) where status <> 'none';

-- A review is decided once.
create function follow_review() returns trigger language plpgsql as $$
begin
  if (old.status, new.status) not in (('none', 'pending'), ('pending', 'approved'), ('pending', 'rejected')) then
    raise exception 'a review does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'payment_reviews_moves';
  end if;
  return new;
end $$;
create trigger payment_reviews_moves before update of status on payment_reviews for each row
  when (new.status <> old.status) execute function follow_review();

-- A paid order on review stays where it is until the staff have decided, but for its money, which may go back.
alter table orders
  add column on_review boolean not null default false,
  add constraint orders_on_review check (not on_review or status in ('paid', 'partially_refunded', 'refunded')) not valid;

-- An order that is given up, or whose money has all gone back, waits no more, and neither does its review.
create function end_review() returns trigger language plpgsql as $$
begin
  update payment_reviews
  set status = 'rejected', decided_at = new.updated_at, note = 'the order was ' || new.status
  where order_id = new.id and status = 'pending';
  return null;
end $$;
create trigger orders_review_ends after update of on_review on orders for each row
  when (old.on_review and not new.on_review) execute function end_review();

-- As before, and not for an order on review.
create or replace function begin_fulfilment() returns trigger language plpgsql as $$
begin
  perform from orders
  where id = new.order_id and status in ('paid', 'processing', 'partially_refunded') and not on_review for share;
  if not found or new.status <> 'packed' then
    raise exception 'a parcel begins packed, for an order that is paid and not on review'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'fulfilments_of_paid_orders';
  end if;
  return new;
end $$;
