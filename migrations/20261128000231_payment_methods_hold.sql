alter table payments validate constraint payments_received_reference;
alter table payments validate constraint payments_provider;
