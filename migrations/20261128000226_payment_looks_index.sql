create index payments_next_look on payments (next_look_at)
  where status in ('created', 'open', 'failed', 'abandoned') and next_look_at is not null;
