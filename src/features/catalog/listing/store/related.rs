//! SQL of related products.

use sqlx::PgConnection;

use crate::features::catalog::model::Listed;
use crate::platform::ids::ProductId;

/// So many products of the same category, and as many with a common tag, are compared.
const COMPARED: i64 = 200;

/// Products that go with one: those that share most tags, then those of its category; what can be bought comes first.
pub(in crate::features::catalog::listing) async fn related(
    c: &mut PgConnection,
    id: ProductId,
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as(
        "with this as (select id, category_id, tags from products where id = $1),
         near as (
           (select p.id, p.tags, p.category_id, p.popularity, p.created_at from products p
            where p.category_id = (select category_id from this) and p.archived_at is null and p.is_active
            order by p.created_at desc, p.id desc limit $3)
           union
           (select p.id, p.tags, p.category_id, p.popularity, p.created_at from products p
            where lower_all(p.tags) && (select lower_all(tags) from this) and p.archived_at is null and p.is_active limit $3)),
         best as (
           select n.id, row_number() over (order by
                    f.in_stock desc,
                    cardinality(array(select unnest(lower_all(n.tags)) intersect select unnest(lower_all(this.tags)))) desc,
                    n.category_id is not distinct from this.category_id desc, n.popularity desc, n.created_at desc,
                    n.id desc) as place
           from near n join product_stock f on f.product_id = n.id, this where n.id <> this.id
           order by place limit $2)
         select l.* from best join product_listing l on l.id = best.id order by best.place",
    )
    .bind(id)
    .bind(limit)
    .bind(COMPARED)
    .fetch_all(c)
    .await
}
