-- The provider's list of a time compared with our payments.
create table reconciliations (
  id uuid primary key,
  -- The shop's day that the clock ordered it for; null: staff did.
  day date constraint reconciliations_once_a_day unique,
  -- Transactions that were begun from then to before then.
  from_at timestamptz not null,
  until_at timestamptz not null,
  status text not null check (status in ('running', 'completed', 'failed')),
  -- read: the provider's list; search: for what it does not have; compare; mend.
  step text not null check (step in ('read', 'search', 'compare', 'mend')),
  -- How often the list was read from its beginning, and pages of it that are read.
  round int not null default 1 check (round > 0),
  -- Transactions that were known when this round began.
  kept bigint not null default 0 check (kept >= 0),
  pages int not null default 0 check (pages >= 0),
  -- Pages that the list has, as far as the provider says.
  page_count int,
  -- The last transaction that was compared.
  compared bigint not null default 0,
  -- Tries that failed since the last progress.
  failures int not null default 0,
  failure text,
  created_by uuid references users on delete set null,
  created_at timestamptz not null,
  finished_at timestamptz,
  constraint reconciliations_time check (from_at < until_at),
  constraint reconciliations_end_has_time check ((status = 'running') = (finished_at is null)),
  constraint reconciliations_failure_is_told check ((status = 'failed') = (failure is not null))
);
create unique index reconciliations_one_at_a_time on reconciliations ((true)) where status = 'running';

-- The days that the clock has ordered a run for. The first row is the day on which the shop began to look.
create table reconciliation_days (
  single boolean primary key default true check (single),
  day date not null
);

-- What the provider lists, while a run compares it.
create table reconciliation_items (
  reconciliation_id uuid not null references reconciliations on delete cascade,
  transaction_id bigint not null,
  reference text not null,
  status text not null,
  domain text not null,
  currency text not null,
  amount_minor bigint not null,
  fees_minor bigint,
  primary key (reconciliation_id, transaction_id)
);
create index reconciliation_items_reference on reconciliation_items (reconciliation_id, reference);

-- What a run counted, for each currency.
create table reconciliation_sums (
  reconciliation_id uuid not null references reconciliations on delete cascade,
  currency text not null,
  their_count bigint not null,
  their_minor bigint not null,
  their_fees_minor bigint not null,
  our_count bigint not null,
  our_minor bigint not null,
  primary key (reconciliation_id, currency)
);

-- A difference, however many runs find it.
create table reconciliation_findings (
  id uuid primary key,
  kind text not null check (kind in ('MISSING_IN_PAYSTACK', 'MISSING_IN_LOCAL', 'AMOUNT_MISMATCH', 'CURRENCY_MISMATCH',
    'MODE_MISMATCH', 'STATUS_MISMATCH')),
  reference text not null,
  transaction_id bigint,
  payment_id uuid references payments,
  their_status text,
  their_amount_minor bigint,
  their_currency text,
  our_status text,
  our_amount_minor bigint,
  our_currency text,
  status text not null check (status in ('open', 'mended', 'resolved')),
  -- Whether the program may mend it: money that came and that we did not hear of.
  mendable boolean not null,
  -- How it was mended, or what staff wrote.
  note text,
  resolved_by uuid references users on delete set null,
  found_at timestamptz not null,
  closed_at timestamptz,
  constraint reconciliation_findings_once unique (kind, reference),
  constraint reconciliation_findings_end_has_time check ((status = 'open') = (closed_at is null))
);
create index reconciliation_findings_open on reconciliation_findings (id) where status = 'open';

create table reconciliation_hits (
  reconciliation_id uuid not null references reconciliations on delete cascade,
  finding_id uuid not null references reconciliation_findings,
  primary key (reconciliation_id, finding_id)
);
create index reconciliation_hits_finding on reconciliation_hits (finding_id);
