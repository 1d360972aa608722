-- Attempts that are under way are looked at once all servers know how.
update payments set next_look_at = now() where status in ('created', 'open') and next_look_at is null;
