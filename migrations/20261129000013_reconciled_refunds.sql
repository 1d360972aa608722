-- The provider's list of refunds is compared too: those that were begun since the first transaction of a run.
create table reconciliation_refunds (
  reconciliation_id uuid not null references reconciliations on delete cascade,
  refund_id bigint not null,
  transaction_id bigint not null,
  amount_minor bigint not null,
  primary key (reconciliation_id, refund_id)
);
create index reconciliation_refunds_transaction on reconciliation_refunds (reconciliation_id, transaction_id);

-- The list of refunds is read within the step `search`, whose name servers of the version before know.
alter table reconciliations
  -- Pages of the list of refunds that are read, and whether they are all.
  add column refund_pages int not null default 0,
  add column refunds_read boolean not null default false;
alter table reconciliation_findings
  drop constraint reconciliation_findings_kind_check,
  add constraint reconciliation_findings_kind check (kind in ('MISSING_IN_PAYSTACK', 'MISSING_IN_LOCAL', 'AMOUNT_MISMATCH',
    'CURRENCY_MISMATCH', 'MODE_MISMATCH', 'STATUS_MISMATCH', 'REFUND_MISMATCH')) not valid;
