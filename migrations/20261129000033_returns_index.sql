-- Staff list returns by where they stand, the newest first.
create index returns_status on returns (status, id desc);
