-- Products :first to :last with two variants and a picture each, of 2,000 names.
insert into products (id, sku, title, slug, short_description, description, currency, price_minor, category_id, tags,
                      created_at, updated_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'SKU-' || n,
       (array['Royal','Golden','Deep','Bright','Fine','Heavy','Light','Festive','Bridal','Plain','Ancient','Modern','Northern',
              'Southern','Crimson','Indigo','Emerald','Ivory','Coral','Amber','Silver','Copper','Dusky','Noble','Gentle','Bold',
              'Narrow','Wide','Striped','Checked','Floral','Woven','Printed','Dyed','Waxed','Beaded','Corded','Polished',
              'Crisp','Soft'])[1 + n % 40] || ' ' ||
       (array['Kente','Ankara','Lace','Brocade','Adire','Damask','Velvet','Chiffon','Batik','Bazin','Fugu','Akwete','George',
              'Sanyan','Alaari','Etu','Guipure','Voile','Tulle','Crepe','Linen','Cotton','Silk','Raffia','Isiagu','Dashiki',
              'Kaftan','Agbada','Gele','Fila','Headwrap','Stole','Scarf','Wrapper','Blouse','Skirt','Gown','Shirt','Smock',
              'Suit','Robe','Cape','Cap','Bag','Fan','Beads','Slippers','Cushion','Throw','Runner'])[1 + n / 40 % 50]
         || ' ' || n,
       'product-' || n, 'Handwoven in narrow strips and sewn by the yard.', repeat('Cloth of cotton and silk. ', 8), 'NGN',
       100000 + n % 9973 * 100, '00000000-0000-7000-a000-000000000001', array['t' || n % 300],
       timestamptz '2026-01-01Z' + n * interval '1 second', now()
from generate_series(:first, :last) n;
insert into product_images (id, product_id, url, alt, type, position)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '/media/product-' || n || '.png', '',
       'main', 0
from generate_series(:first, :last) n;
insert into variants (id, product_id, sku, options, price_minor, position)
select ('00000000-0000-7000-b000-' || lpad((n * 2 + i)::text, 12, '0'))::uuid,
       ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'SKU-W' || n || '-' || i,
       jsonb_build_array(jsonb_build_object('name', 'Colour', 'value', (array['Gold', 'Green', 'Red'])[(n + i) % 3 + 1])),
       100000 + n % 9973 * 100, i
from generate_series(:first, :last) n, generate_series(0, 1) i;
insert into stock_levels (variant_id, on_hand)
select ('00000000-0000-7000-b000-' || lpad((n * 2 + i)::text, 12, '0'))::uuid, 10
from generate_series(:first, :last) n, generate_series(0, 1) i;
