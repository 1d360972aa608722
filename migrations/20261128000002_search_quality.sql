-- Tags are asked for in any case. PL/pgSQL, because a function in SQL that the planner cannot dissolve starts an executor each
-- time. No tag has the separator, which is a control character.
create function lower_all(texts text[]) returns text[] language plpgsql immutable strict parallel safe as $$
begin
  return string_to_array(lower(array_to_string(texts, chr(31))), chr(31));
end $$;
create index products_tags_lower on products using gin (lower_all(tags));
drop index products_tags;

-- A sku by any of its parts, in any order, or written as one.
create function sku_words(sku text) returns tsvector language sql immutable strict parallel safe as $$
  select to_tsvector('simple', fold(regexp_replace($1, '[^[:alnum:]]+', ' ', 'g') || ' '
                                    || regexp_replace($1, '[^[:alnum:]]+', '', 'g')))
$$;
create index variants_sku_words on variants using gin (sku_words(sku));
drop index variants_sku_prefix;

-- Products in an order that has nothing to do with what they are, to look at some of many.
create index products_sample on products (uuid_hash(id)) where archived_at is null and is_active;
