-- The audit log becomes a chain: each entry's hash covers the entry and the hash before it, so whoever changes, removes or
-- inserts an entry breaks all that follow. What is personal stands apart, so that it can be erased: the chain has its
-- salted digest, which says nothing once salt and text are gone.

create table audit_parts (
  -- Written before its entry, in the same transaction.
  entry_id bigint not null references audit_log deferrable initially deferred,
  -- origin: where it came from, {"ip", "userAgent"}; change: what it was about, {"before", "after"}.
  part text not null check (part in ('origin', 'change')),
  content jsonb not null,
  salt bytea not null check (length(salt) = 16),
  primary key (entry_id, part)
);

create function refuse_change_but_erasure() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('agape.erasing', true) = 'on' then
    return null;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger audit_parts_append_only before update or delete or truncate on audit_parts
  for each statement execute function refuse_change_but_erasure();

-- ip, user_agent, before and after are where an entry comes in; they are moved to audit_parts and stay empty.
alter table audit_log
  add column seq bigint constraint audit_log_seq_key unique,
  add column origin_digest bytea check (length(origin_digest) = 32),
  add column change_digest bytea check (length(change_digest) = 32),
  add column hash bytea check (length(hash) = 32);
create index audit_log_actor on audit_log (actor_id, id) where actor_id is not null;
create index audit_log_at on audit_log (at desc, id desc);

create function audit_hash(previous bytea, entry audit_log) returns bytea language sql stable as $$
  select sha256(coalesce(previous, ''::bytea) || convert_to(jsonb_build_array(entry.seq,
    (extract(epoch from entry.at) * 1000000)::bigint, entry.actor_id, entry.actor_role, entry.action, entry.entity,
    entry.entity_id, entry.request_id, encode(entry.origin_digest, 'hex'), encode(entry.change_digest, 'hex'))::text,
    'UTF8'))
$$;

create function audit_digest(salt bytea, content jsonb) returns bytea language sql stable as $$
  select sha256(salt || convert_to(content::text, 'UTF8'))
$$;

-- Makes an entry the next link. The lock is held until the transaction ends, so entries are chained in the order of their
-- commits; write the entry last.
create function audit_seal(entry audit_log) returns audit_log language plpgsql as $$
declare
  head record;
  salt bytea;
  content jsonb;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit_log', 0));
  select seq, hash into head from audit_log where seq is not null order by seq desc limit 1;
  entry.seq := coalesce(head.seq, 0) + 1;
  if entry.ip is not null or entry.user_agent is not null then
    salt := uuid_send(gen_random_uuid());
    content := jsonb_build_object('ip', entry.ip, 'userAgent', entry.user_agent);
    insert into audit_parts values (entry.id, 'origin', content, salt);
    entry.origin_digest := audit_digest(salt, content);
  end if;
  if entry.before is not null or entry.after is not null then
    salt := uuid_send(gen_random_uuid());
    content := jsonb_build_object('before', entry.before, 'after', entry.after);
    insert into audit_parts values (entry.id, 'change', content, salt);
    entry.change_digest := audit_digest(salt, content);
  end if;
  entry.ip := null;
  entry.user_agent := null;
  entry.before := null;
  entry.after := null;
  entry.hash := audit_hash(head.hash, entry);
  return entry;
end $$;

create function audit_seal_new() returns trigger language plpgsql as $$
begin
  return audit_seal(new);
end $$;
create trigger audit_log_chain before insert on audit_log for each row execute function audit_seal_new();

-- The entries so far. There are few: this is the only time that the log is written anew.
alter table audit_log disable trigger audit_log_append_only;
do $$
declare entry audit_log;
begin
  for entry in select * from audit_log order by id loop
    entry := audit_seal(entry);
    update audit_log set seq = entry.seq, origin_digest = entry.origin_digest, change_digest = entry.change_digest,
      hash = entry.hash, ip = null, user_agent = null, before = null, after = null where id = entry.id;
  end loop;
end $$;
-- The links to the entries are checked now, as a table with open checks cannot be altered.
set constraints all immediate;
alter table audit_log enable trigger audit_log_append_only,
  alter column seq set not null, alter column hash set not null,
  add constraint audit_log_parts_are_apart check (ip is null and user_agent is null and before is null and after is null);
