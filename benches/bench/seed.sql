-- 1,000 products with three variants and two pictures each, and more stock than any load takes.
insert into categories (id, name, slug, position, created_at)
values ('00000000-0000-7000-a000-000000000001', 'Kente', 'kente', 0, now());
insert into products (id, sku, title, slug, short_description, description, full_story, currency, price_minor,
                      category_id, tags, weave_origin, care_instructions, dispatch_time, created_at, updated_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'SKU-' || n, 'Product ' || n, 'product-' || n,
       'Handwoven in narrow strips and sewn by the yard.', repeat('Handwoven cloth of cotton and silk. ', 12),
       repeat('The pattern is passed on from one weaver to the next. ', 10), 'NGN', 4500000,
       '00000000-0000-7000-a000-000000000001', '{kente,handwoven}', 'Bonwire', 'Wash by hand, cold.', '2 to 3 days',
       now(), now()
from generate_series(1, 1000) n;
insert into product_images (id, product_id, url, alt, type, position)
select gen_random_uuid(), p.id, '/media/' || p.slug || '-' || i || '.png', p.title,
       case i when 0 then 'main' else 'detail' end, i
from products p, generate_series(0, 1) i;
insert into variants (id, product_id, sku, options, price_minor, position)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid,
       ('00000000-0000-7000-8000-' || lpad(((n - 1) / 3 + 1)::text, 12, '0'))::uuid, 'SKU-V' || n,
       jsonb_build_array(jsonb_build_object('name', 'Colour', 'value', (array['Gold', 'Green', 'Red'])[n % 3 + 1])),
       4500000, n % 3
from generate_series(1, 3000) n;
insert into stock_levels (variant_id, on_hand) select id, 1000000000 from variants;
-- Workers do not touch this queue, so that placing an order is measured and not the writing of its mail.
insert into river_queue (name, created_at, updated_at, paused_at) values ('default', now(), now(), now())
on conflict (name) do update set paused_at = now();
analyze;
