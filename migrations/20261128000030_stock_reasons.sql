-- Why staff change stock. The old rows fit, as nothing has written 'adjustment' yet; looking at them is left to the next
-- migration, which does not keep orders waiting.
alter table stock_movements
  drop constraint stock_movements_reason_check,
  add constraint stock_movements_reason check (reason in (
    'initial', 'import', 'reserve', 'commit', 'release',
    'received', 'count', 'correction', 'damaged', 'lost', 'return', 'other')) not valid,
  add constraint stock_movements_note_length check (length(note) between 1 and 500) not valid,
  add constraint stock_movements_other_is_explained check (reason <> 'other' or note is not null) not valid;
