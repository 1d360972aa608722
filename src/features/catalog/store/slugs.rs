//! SQL of slugs: which are free, and where old ones lead.

use sqlx::PgConnection;

use crate::platform::ids::CategoryId;

/// As many things as may have the same name.
const MAX: i32 = 10_000;

/// Whose slugs. Each kind of thing has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::features::catalog) enum Of {
    Products,
    Categories,
}

/// The first of `base`, `base-2`, `base-3` … that nothing of its kind has; without `base` itself where that `is_reserved`. Whoever
/// else asks with the same base waits for the end of this transaction. None when all are taken.
pub(in crate::features::catalog) async fn free(
    c: &mut PgConnection,
    of: Of,
    base: &str,
    is_reserved: bool,
) -> sqlx::Result<Option<String>> {
    // In a statement of its own, so that the look after it sees what its last holder committed.
    let kind = if of == Of::Products { "product" } else { "category" };
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('slug of ' || $1::text || ' ' || $2, 0))", kind, base)
        .execute(&mut *c)
        .await?;
    // It goes on as long as they are taken, by one look into the index each; `exists` would read all slugs into a table.
    sqlx::query_scalar!(
        r#"with recursive tried as (
             select $2::int as n, null::text as slug, true as taken
             union all
             select n + 1, made, coalesce(case when $4 then (select true from products where slug = made)
                                               else (select true from categories where slug = made) end, false)
             from tried, lateral (select case n when 1 then $1 else rtrim(left($1, 112), '-') || '-' || n end) m (made)
             where taken and n <= $3)
           select slug as "slug!" from tried where not taken"#,
        base,
        if is_reserved { 2 } else { 1 },
        MAX,
        of == Of::Products,
    )
    .fetch_optional(c)
    .await
}

/// The slug of the product for sale that had this one before.
pub(in crate::features::catalog) async fn successor_of_product(
    c: &mut PgConnection,
    slug: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select p.slug from product_slugs s join products p on p.id = s.product_id
         where s.slug = $1 and p.archived_at is null and p.is_active",
        slug,
    )
    .fetch_optional(c)
    .await
}

/// The slug of the category that had this one before.
pub(in crate::features::catalog) async fn successor_of_category(
    c: &mut PgConnection,
    slug: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select c.slug from category_slugs s join categories c on c.id = s.category_id where s.slug = $1",
        slug,
    )
    .fetch_optional(c)
    .await
}

/// Leads the slugs that a category has and had, and which ends, to another one. Call it before the category is removed.
pub(in crate::features::catalog) async fn inherit_of_category(
    c: &mut PgConnection,
    from: CategoryId,
    to: CategoryId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with had as (update category_slugs set category_id = $2 where category_id = $1)
         insert into category_slugs select slug, $2 from categories where id = $1
         on conflict (slug) do update set category_id = excluded.category_id",
        from.0,
        to.0,
    )
    .execute(c)
    .await?;
    Ok(())
}
