create table payments (
  id uuid primary key,
  order_id uuid not null references orders,
  -- The order's number and account, which never change.
  order_number text not null,
  user_id uuid references users,
  provider text not null check (provider in ('paystack')),
  reference text not null constraint payments_reference_key unique check (reference ~ '^[A-Za-z0-9.=-]{1,50}$'),
  -- created: reference stored, provider not asked yet; open: the shopper may pay;
  -- flagged: money arrived that does not fit the order, staff must decide.
  status text not null check (status in ('created', 'open', 'success', 'failed', 'abandoned', 'flagged')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  paid_minor bigint not null default 0 check (paid_minor >= 0),
  refunded_minor bigint not null default 0,
  authorization_url text,
  access_code text,
  provider_transaction_id bigint,
  channel text,
  card_brand text,
  card_last4 text,
  gateway_response text,
  flag_reason text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  paid_at timestamptz,
  constraint payments_refunds_within_paid check (refunded_minor between 0 and paid_minor),
  constraint payments_flag_has_reason check ((status = 'flagged') = (flag_reason is not null))
);
-- One payment attempt at a time for an order.
create unique index payments_one_open_attempt on payments (order_id) where status in ('created', 'open');
-- An order is paid once.
create unique index payments_one_success on payments (order_id) where status = 'success';
create index payments_order_id on payments (order_id, created_at);

create table refunds (
  id uuid primary key,
  payment_id uuid not null references payments,
  amount_minor bigint not null check (amount_minor > 0),
  status text not null check (status in ('pending', 'processing', 'processed', 'failed', 'needs_attention')),
  reason text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index refunds_payment_id on refunds (payment_id);

-- The sum of refunds that have not failed is kept on the payment, whose CHECK caps it. The update
-- locks the payment, so parallel refunds are counted one after the other.
create function count_refund() returns trigger language plpgsql as $$
begin
  update payments set refunded_minor = refunded_minor
    + case when new.status <> 'failed' then new.amount_minor else 0 end
    - case when tg_op = 'UPDATE' and old.status <> 'failed' then old.amount_minor else 0 end
  where id = new.payment_id;
  return new;
end $$;
create trigger refunds_counted after insert or update on refunds for each row execute function count_refund();

create table webhook_events (
  id uuid primary key,
  provider text not null,
  -- What makes two deliveries the same event.
  dedupe_key text not null,
  event text not null,
  reference text,
  -- The body as it came, byte for byte.
  body bytea not null,
  status text not null default 'received' check (status in ('received', 'processed', 'ignored', 'failed')),
  outcome text,
  received_at timestamptz not null,
  processed_at timestamptz,
  deliveries int not null default 1,
  constraint webhook_events_once unique (provider, dedupe_key)
);
create index webhook_events_received on webhook_events (received_at) where status = 'received';
create index webhook_events_reference on webhook_events (reference) where reference is not null;

-- Delivery log, and the local mailbox.
create table emails (
  id uuid primary key,
  -- A job that runs twice finds its first mail by this key.
  dedupe_key text not null constraint emails_once unique,
  kind text not null,
  user_id uuid,
  order_id uuid,
  recipient text not null,
  subject text not null,
  html text not null,
  body_text text not null,
  status text not null check (status in ('queued', 'sent', 'failed')),
  provider text not null,
  error text,
  created_at timestamptz not null,
  sent_at timestamptz,
  check ((status = 'sent') = (sent_at is not null))
);
create index emails_created_at on emails (created_at desc, id desc);
