-- Àdìrẹ stands with A, not behind Z: the list by title sorts by what remains without accents.
drop index products_title;
create index products_title on products (fold(title), id) where archived_at is null and is_active;
