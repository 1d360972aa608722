select id as "id!: ProductId", sku as "sku!", title as "title!", slug as "slug!",
       short_description as "short_description!", description as "description!",
       full_story as "full_story!", currency as "currency!", price_minor as "price_minor!",
       compare_at_minor, category_id as "category_id: CategoryId", category_name as "category_name?",
       category_slug as "category_slug?", vendor, tags as "tags!", weight_grams, width, length,
       dimension_unit as "dimension_unit!", weave_origin as "weave_origin!",
       care_instructions as "care_instructions!", dispatch_time as "dispatch_time!",
       is_featured as "is_featured!", is_limited as "is_limited!", is_active as "is_active!",
       metadata as "metadata!", rating as "rating!", review_count as "review_count!",
       version as "version!", created_at as "created_at!", updated_at as "updated_at!", archived_at,
       images as "images!: Json<Vec<ListedImage>>", variants as "variants!: Json<Vec<ListedVariant>>"
from product_listing
where (id = $1 or slug = $2) and ($3 or archived_at is null and is_active)
order by id = $1 desc limit 1
