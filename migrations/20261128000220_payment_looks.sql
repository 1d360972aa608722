-- Attempts that may still become a success are asked about, again and again, each time after a longer wait.
alter table payments
  add column looks int not null default 0 constraint payments_looks check (looks >= 0),
  -- When it is asked about next, but not in its first minutes; null: not any more.
  add column next_look_at timestamptz;
-- What the program of before writes while both run is asked about too.
alter table payments alter column next_look_at set default now();
