//! SQL of the tree of categories.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::features::catalog::listing::CategoryOf;
use crate::platform::ids::{CategoryId, ProductId};

/// A category in its place in the tree.
#[derive(Clone, Debug)]
pub(in crate::features::catalog) struct CategoryRow {
    pub id: CategoryId,
    pub parent_id: Option<CategoryId>,
    pub name: String,
    pub slug: String,
    pub position: i32,
    pub version: i32,
    /// 0 for one without a parent.
    pub depth: i32,
    /// Products for sale directly in it.
    pub products: i64,
    /// The same with all below it.
    pub all_products: i64,
}

/// All categories, each followed by those below it, siblings in their order; at most 10,000.
pub(in crate::features::catalog) async fn tree(c: &mut PgConnection) -> sqlx::Result<Vec<CategoryRow>> {
    sqlx::query_as!(
        CategoryRow,
        r#"with recursive tree as (
             select id, parent_id, name, slug, position, version, 0 as depth, array[id] as path
             from categories where parent_id is null
             union all
             select c.id, c.parent_id, c.name, c.slug, c.position, c.version, t.depth + 1, t.path || c.id
             from categories c join tree t on c.parent_id = t.id)
             search depth first by position, name, id set place,
           direct as (select category_id as id, sum(products)::bigint as products from category_counts group by 1),
           total as (
             select above.id, sum(direct.products)::bigint as products
             from tree join direct using (id), unnest(tree.path) as above (id) group by 1)
           select t.id as "id!: CategoryId", t.parent_id as "parent_id: CategoryId", t.name as "name!", t.slug as "slug!",
                  t.position as "position!", t.version as "version!", t.depth as "depth!",
                  coalesce(direct.products, 0) as "products!", coalesce(total.products, 0) as "all_products!"
           from tree t left join direct using (id) left join total using (id) order by t.place limit 10000"#,
    )
    .fetch_all(c)
    .await
}

/// A category and all below it, by its id, its slug or one that it had before. Empty when there is none of that name.
pub(in crate::features::catalog) async fn below(
    c: &mut PgConnection,
    category: &CategoryOf,
) -> sqlx::Result<Vec<Uuid>> {
    let (id, slug) = match category {
        CategoryOf::Id(id) => (Some(id.0), None),
        CategoryOf::Slug(slug) => (None, Some(slug.as_str())),
    };
    sqlx::query_scalar!(
        r#"with recursive below as (
             select id from categories where id = $1 or slug = $2
             union select category_id from category_slugs where slug = $2
             union select c.id from categories c join below on c.parent_id = below.id)
           select id as "id!" from below"#,
        id,
        slug,
    )
    .fetch_all(c)
    .await
}

/// Waits until nobody else is changing the shape of the tree.
pub(in crate::features::catalog) async fn lock_tree(c: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select lock_category_tree()").execute(c).await?;
    Ok(())
}

pub(in crate::features::catalog) async fn insert(
    c: &mut PgConnection,
    id: CategoryId,
    parent: Option<CategoryId>,
    name: &str,
    slug: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into categories (id, parent_id, name, slug, position, created_at)
         values ($1, $2, $3, $4, (select coalesce(max(position) + 1, 0) from categories), $5)",
        id.0,
        parent.map(|id| id.0),
        name,
        slug,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A change of a category; `None` leaves a field as it is, and `Some(None)` moves it to the top.
#[derive(Debug, Default)]
pub(in crate::features::catalog) struct CategoryChange {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub parent_id: Option<Option<CategoryId>>,
    pub position: Option<i32>,
}

/// Changes a category if it still has `version`. False when it is gone or has another one.
pub(in crate::features::catalog) async fn update(
    c: &mut PgConnection,
    id: CategoryId,
    version: i32,
    change: &CategoryChange,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update categories
         set name = coalesce($3, name), slug = coalesce($4, slug), position = coalesce($5, position),
             parent_id = case when $6 then $7 else parent_id end, version = version + 1
         where id = $1 and version = $2",
        id.0,
        version,
        change.name,
        change.slug,
        change.position,
        change.parent_id.is_some(),
        change.parent_id.flatten().map(|id| id.0),
    )
    .execute(c)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Numbers categories in the given order.
pub(in crate::features::catalog) async fn set_order(c: &mut PgConnection, ids: &[CategoryId]) -> sqlx::Result<()> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update categories c set position = o.position - 1
         from unnest($1::uuid[]) with ordinality as o (id, position) where c.id = o.id",
        &ids,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Whether any product, for sale or not, is in the category.
pub(in crate::features::catalog) async fn has_products(c: &mut PgConnection, id: CategoryId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from products where category_id = $1) as "has!""#, id.0)
        .fetch_one(c)
        .await
}

/// Moves products, archived ones too, from one category into another, at most `limit`. Gives them.
pub(in crate::features::catalog) async fn move_products(
    c: &mut PgConnection,
    from: CategoryId,
    to: CategoryId,
    limit: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<ProductId>> {
    sqlx::query_scalar!(
        r#"with locked as (select id from products where category_id = $1 order by id limit $4 for no key update)
           update products p set category_id = $2, version = version + 1, updated_at = $3
           from locked where p.id = locked.id returning p.id as "id: ProductId""#,
        from.0,
        to.0,
        now,
        limit,
    )
    .fetch_all(c)
    .await
}

/// Moves all subcategories of one category into another.
pub(in crate::features::catalog) async fn move_children(
    c: &mut PgConnection,
    from: CategoryId,
    to: CategoryId,
) -> sqlx::Result<()> {
    sqlx::query!("update categories set parent_id = $2, version = version + 1 where parent_id = $1", from.0, to.0)
        .execute(c)
        .await?;
    Ok(())
}

/// Removes a category that has neither products nor subcategories.
pub(in crate::features::catalog) async fn delete(c: &mut PgConnection, id: CategoryId) -> sqlx::Result<()> {
    sqlx::query!("delete from categories where id = $1", id.0).execute(c).await?;
    Ok(())
}
