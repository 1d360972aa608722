-- Of a buyer who was erased nothing is written any more. Whoever is erasing him holds his orders, so a note comes before that, and goes
-- with him, or is refused.
create function refuse_notes_of_erased_buyers() returns trigger language plpgsql as $$
declare
  buyer text;
begin
  select o.email into buyer from disputes d join orders o on o.id = d.order_id where d.id = new.dispute_id for share of o;
  if buyer like '%@erased.invalid' then
    raise exception 'nothing is written about a buyer who was erased'
      using errcode = 'check_violation', table = tg_table_name, constraint = 'dispute_notes_of_live_buyers';
  end if;
  return new;
end $$;
create trigger dispute_notes_of_live_buyers before insert on dispute_notes
  for each row execute function refuse_notes_of_erased_buyers();
