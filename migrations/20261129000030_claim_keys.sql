-- Takes the keys of requests until the transaction ends, and reads what is stored under them, in one round trip. Nobody waits for a key.
create function claim_keys(callers text[], routes text[], keys text[], moment timestamptz)
  returns table (n bigint, mine boolean, fingerprint bytea, status smallint, body text) language plpgsql volatile as $$
declare
  locked boolean[];
begin
  -- A statement of its own, so that the next one sees what the last holders of the keys have committed.
  select array_agg(pg_try_advisory_xact_lock(hashtextextended(w.caller || ' ' || w.route || ' ' || w.key, 0)) order by w.place)
  into locked
  from unnest(callers, routes, keys) with ordinality as w (caller, route, key, place);
  return query
    select w.place, w.is_locked, k.fingerprint, k.status, k.body
    from unnest(callers, routes, keys, locked) with ordinality as w (caller, route, key, is_locked, place)
    left join idempotency_keys k
      on k.caller = w.caller and k.route = w.route and k.key = w.key and k.expires_at > moment
    order by w.place;
end $$;
