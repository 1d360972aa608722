-- Rules every table uses: append-only ledgers, the job queue's entrance, full-text search.

-- Refuses update and delete on the ledgers (stock movements, order events, audit).
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;

-- The one way into the job queue from SQL: a plain insert, without a NOTIFY, because a NOTIFY
-- inside a transaction serialises the commits of the whole database. The process is woken after the commit.
create function enqueue_job(kind text, args jsonb, max_attempts smallint default 3,
                            run_at timestamptz default null, priority smallint default 2)
returns bigint language plpgsql as $$
declare job_id bigint;
begin
  insert into river_job (kind, args, max_attempts, queue, priority, state, scheduled_at)
  values (enqueue_job.kind, enqueue_job.args, enqueue_job.max_attempts, 'default', enqueue_job.priority,
          case when run_at > now() then 'scheduled'::river_job_state else 'available'::river_job_state end,
          coalesce(run_at, now()))
  returning id into job_id;
  return job_id;
end $$;

create extension if not exists pg_trgm;
create extension if not exists unaccent;

-- Lower case without accents. Declared immutable so that indexes may use it: the dictionary is named,
-- so the result does not depend on the session.
create function fold(value text) returns text language sql immutable parallel safe strict as
$$ select lower(public.unaccent('public.unaccent', value)) $$;
