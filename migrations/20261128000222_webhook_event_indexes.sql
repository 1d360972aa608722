create index webhook_events_seals on webhook_events (sealed_by) where body <> '{}';
create index webhook_events_bodies on webhook_events (received_at) where body <> '{}';
create index webhook_events_failed on webhook_events (id) where status = 'failed';
