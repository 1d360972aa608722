alter table stock_movements
  validate constraint stock_movements_reason,
  validate constraint stock_movements_note_length,
  validate constraint stock_movements_other_is_explained;
