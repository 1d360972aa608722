-- Many jobs of one kind in one statement, as enqueue_job(): each statement on the queue's table costs as much as a dozen rows.
-- Gives how many.
create function enqueue_jobs(kind text, args jsonb[], max_attempts smallint default 3) returns bigint language plpgsql as $$
declare
  jobs bigint;
begin
  insert into river_job (kind, args, max_attempts, queue, priority, state, scheduled_at)
  select enqueue_jobs.kind, job, enqueue_jobs.max_attempts, 'default', 2, 'available', now()
  from unnest(enqueue_jobs.args) as job;
  get diagnostics jobs = row_count;
  return jobs;
end $$;
