-- The payments of refunds that the provider lists, by its numbers of their transactions.
create index payments_provider_transaction on payments (provider_transaction_id) where provider_transaction_id is not null;
