-- Invoices. Their numbers of a year have no gap: tax law in Nigeria and Ghana wants serial numbers.
create table invoice_years (
  year int primary key check (year between 2000 and 9999),
  last_sequence int not null check (last_sequence > 0)
);

create table invoices (
  order_id uuid primary key references orders,
  year int not null,
  -- From 1 on, within the year; the trigger below gives it.
  sequence int not null check (sequence > 0),
  prefix text not null check (prefix ~ '^[A-Z0-9]{1,10}$'),
  number text not null generated always as (
    prefix || '-' || year::text || '-' || case when sequence > 999999 then sequence::text else lpad(sequence::text, 6, '0') end
  ) stored constraint invoices_number unique,
  -- Who sold, as it was then.
  seller jsonb not null,
  order_number text not null,
  currency text not null,
  total_minor bigint not null check (total_minor >= 0),
  -- Within the total, of whatever kind.
  tax_minor bigint not null check (tax_minor >= 0),
  issued_at timestamptz not null,
  -- The PDF file, and what it says that may be otherwise later: of the payment, and whether its buyer is on it.
  document_provider text check (document_provider in ('local', 's3', 'cloudinary')),
  document_key text,
  document_version bigint,
  document_stamp text check (document_stamp in ('due', 'paid', 'cancelled', 'refunded')),
  document_paid_minor bigint check (document_paid_minor >= 0),
  document_refunded_minor bigint check (document_refunded_minor >= 0),
  document_names_buyer boolean,
  constraint invoices_sequence unique (year, sequence),
  constraint invoices_document check (
    num_nulls(document_provider, document_key, document_stamp, document_paid_minor, document_refunded_minor,
      document_names_buyer) in (0, 6)
    and (document_version is null or document_key is not null)
  )
);
-- Staff list them by time, the newest first.
create index invoices_issued_at on invoices (issued_at, order_id);

-- A number is taken with the row of its year locked, and goes back with its transaction: so none is left out.
create function number_invoice() returns trigger language plpgsql as $$
begin
  insert into invoice_years as y (year, last_sequence) values (new.year, 1)
  on conflict (year) do update set last_sequence = y.last_sequence + 1
  returning last_sequence into new.sequence;
  return new;
end $$;
create trigger invoices_are_numbered before insert on invoices for each row execute function number_invoice();

-- What was issued stays: only the file changes.
create function keep_invoice() returns trigger language plpgsql as $$
begin
  raise exception 'an invoice that was issued is neither changed nor removed'
    using errcode = 'check_violation', table = tg_table_name, constraint = 'invoices_stay';
end $$;
create trigger invoices_stay before delete on invoices for each row execute function keep_invoice();
create trigger invoices_stay_as_issued
  before update of order_id, year, sequence, prefix, seller, order_number, currency, total_minor, tax_minor, issued_at on invoices
  for each row execute function keep_invoice();
create trigger invoices_are_never_emptied before truncate on invoices execute function keep_invoice();
