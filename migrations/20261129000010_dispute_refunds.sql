-- Money that a dispute takes back is a refund of its payment, and within what was paid as all refunds. The provider may tell of the refund
-- before it tells of the dispute, so that the dispute's number counts.
alter table refunds
  -- The provider's number of the dispute that took it.
  add column dispute_number bigint,
  -- That dispute, once it is known here.
  add column dispute_id uuid references disputes,
  add constraint refunds_dispute check (
    (origin <> 'dispute' or dispute_number is not null) and (origin in ('dispute', 'provider') or dispute_number is null)
    and (dispute_id is null or dispute_number is not null)) not valid;
create index refunds_dispute_number on refunds (dispute_number) where dispute_number is not null;
-- What was lost is compared with what is written down of it.
create index disputes_lost on disputes (id) where lost_minor > 0 and payment_id is not null;

-- As before, and of which dispute a refund is does not change either, once it is known.
create or replace function follow_refund_moves() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'pending' and new.origin in ('staff', 'system') then
      raise exception 'a refund begins pending'
        using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_moves';
    end if;
    return new;
  end if;
  if new.status <> old.status
     and not exists (select from refund_moves where from_status = old.status and to_status = new.status) then
    raise exception 'a refund does not become % from %', new.status, old.status
      using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_moves';
  end if;
  if (new.payment_id, new.amount_minor, new.origin, new.retry_of, new.return_id, new.created_at)
     is distinct from (old.payment_id, old.amount_minor, old.origin, old.retry_of, old.return_id, old.created_at)
     or new.provider_refund_id is distinct from old.provider_refund_id and old.provider_refund_id is not null
     or new.dispute_number is distinct from old.dispute_number and old.dispute_number is not null
     or new.dispute_id is distinct from old.dispute_id and old.dispute_id is not null then
    raise exception 'what a refund gives back does not change'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'refunds_unchanged';
  end if;
  return new;
end $$;
