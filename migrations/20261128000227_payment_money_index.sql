-- Money of a time is compared with the provider's list of it.
create index payments_money_of_time on payments (created_at) where status in ('success', 'flagged');
