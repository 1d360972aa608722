-- Bodies name the person who paid and the code that would charge his card again, so they are kept sealed.
alter table webhook_events
  -- The mark of the key that the body is sealed with; 0: it is not sealed.
  add column sealed_by int not null default 0;
