-- Goods of a paid order that was cancelled go back on the shelf: a reason of its own, written by the program only.
alter table stock_movements
  drop constraint stock_movements_reason,
  add constraint stock_movements_reason check (reason in (
    'initial', 'import', 'reserve', 'commit', 'release', 'cancel',
    'received', 'count', 'correction', 'damaged', 'lost', 'return', 'other')) not valid;
