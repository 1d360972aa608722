-- A buyer, or his bank, wants a payment back.
create table disputes (
  id uuid primary key,
  provider_id bigint not null constraint disputes_once unique,
  -- Null: of a payment that we do not know.
  payment_id uuid references payments,
  order_id uuid references orders,
  reference text,
  transaction_id bigint,
  status text not null check (status in ('awaiting_merchant', 'awaiting_bank', 'pending', 'resolved', 'archived', 'other')),
  -- merchant-accepted, declined, auto-accepted, or whatever else the provider says.
  resolution text,
  category text,
  -- What is asked back, if the provider says so.
  amount_minor bigint check (amount_minor >= 0),
  currency text,
  -- What went back because of it.
  lost_minor bigint not null default 0 check (lost_minor >= 0),
  due_at timestamptz,
  -- So many hours before it is due staff were told last.
  told_hours int,
  opened_at timestamptz not null,
  -- When the provider changed it last, if it says so.
  changed_at timestamptz,
  resolved_at timestamptz,
  -- What staff answered, and until when one of them is at it.
  answer text check (answer in ('merchant-accepted', 'declined')),
  answer_message text check (length(answer_message) <= 2000),
  answered_by uuid references users on delete set null,
  answered_at timestamptz,
  answering_until timestamptz,
  -- Counts all changes.
  version int not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint disputes_order_of_payment check ((payment_id is null) = (order_id is null)),
  constraint disputes_loss_is_over check (lost_minor = 0 or status in ('resolved', 'archived')),
  constraint disputes_answer_is_told check ((answer is null) = (answered_at is null))
);
create index disputes_order_id on disputes (order_id) where order_id is not null;
create index disputes_due on disputes (due_at) where status = 'awaiting_merchant' and due_at is not null;
create index disputes_open on disputes (id) where status not in ('resolved', 'archived');

-- What is over stays over.
create function keep_dispute_over() returns trigger language plpgsql as $$
begin
  if new.status not in ('resolved', 'archived') then
    raise exception 'a dispute that is over is not opened again'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'disputes_stay_over';
  end if;
  return new;
end $$;
create trigger disputes_stay_over before update on disputes for each row when (old.status in ('resolved', 'archived'))
  execute function keep_dispute_over();

-- When the provider was asked last which disputes there are.
create table dispute_looks (
  single boolean primary key default true check (single),
  at timestamptz not null
);

create table dispute_notes (
  id bigint generated always as identity primary key,
  dispute_id uuid not null references disputes on delete cascade,
  actor_id uuid references users on delete set null,
  text text not null check (length(text) between 1 and 2000),
  at timestamptz not null
);
create index dispute_notes_of_dispute on dispute_notes (dispute_id, id);
