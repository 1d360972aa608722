-- Product files that staff hand in, and how far each has been imported.
create table imports (
  id uuid primary key,
  status text not null
    check (status in ('uploading', 'queued', 'running', 'completed', 'failed', 'cancelled')),
  file_name text not null check (length(file_name) <= 200),
  -- Null: found out from the file.
  format text check (format in ('shopify', 'woocommerce', 'agape', 'jsonl')),
  dry_run boolean not null,
  bytes bigint not null default 0 check (bytes >= 0),
  -- How far it is. A batch of products and this number are stored together, so a batch is never counted twice.
  products_done bigint not null default 0 check (products_done >= 0),
  rows_done bigint not null default 0 check (rows_done >= 0),
  bytes_done bigint not null default 0 check (bytes_done >= 0),
  created bigint not null default 0,
  updated bigint not null default 0,
  unchanged bigint not null default 0,
  refused bigint not null default 0,
  variants bigint not null default 0,
  images bigint not null default 0,
  -- All of them; the first thousand are kept.
  problems bigint not null default 0,
  -- Why the file as a whole could not be read.
  failure text,
  -- Tries that failed since the last progress.
  failures int not null default 0,
  created_by uuid references users on delete set null,
  actor_role text not null,
  session_id uuid not null,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  constraint imports_end_has_time check ((status in ('completed', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint imports_failure_is_told check ((status = 'failed') = (failure is not null))
);
create index imports_newest on imports (created_at desc, id desc);

-- The file, until the import ends: every node's workers can read it.
create table import_chunks (
  import_id uuid not null references imports on delete cascade,
  n int not null check (n >= 0),
  bytes bytea not null check (length(bytes) between 1 and 1048576),
  primary key (import_id, n)
);
-- They are compressed by nobody twice.
alter table import_chunks alter column bytes set storage external;

create table import_problems (
  import_id uuid not null references imports on delete cascade,
  n bigint not null check (n between 0 and 999),
  row_number bigint not null,
  heading text,
  severity text not null check (severity in ('error', 'warning')),
  message text not null,
  primary key (import_id, n)
);
