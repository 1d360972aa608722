//! SQL of coupons as staff keep and list them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{columns, worth};
use crate::features::coupons::model::{Code, Coupon, Status};
use crate::features::coupons::terms::{Rules, Terms};
use crate::platform::count::{self, Total};
use crate::platform::ids::{CategoryId, CouponId, ProductId};
use crate::platform::money::Amount;
use crate::platform::page::Part;

/// A coupon without what it is for: the columns of `coupons`, described in the migration.
#[derive(Clone, Debug, FromRow)]
pub(in crate::features::coupons) struct Stored {
    pub id: CouponId,
    pub code: Code,
    pub description: String,
    pub amount_minor: Option<i64>,
    pub rate_basis_points: Option<i32>,
    pub max_discount_minor: Option<i64>,
    pub min_subtotal_minor: Option<i64>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub usage_limit: Option<i32>,
    pub per_customer_limit: Option<i32>,
    pub first_order_only: bool,
    pub is_active: bool,
    pub is_scoped: bool,
    pub used_count: i32,
    pub discount_total_minor: i64,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// The coupon, as prices depend on it.
    pub(in crate::features::coupons) fn coupon(&self) -> Coupon {
        Coupon {
            id: self.id,
            code: self.code.clone(),
            version: self.version,
            worth: worth(self.amount_minor, self.rate_basis_points, self.max_discount_minor),
            min_subtotal: self.min_subtotal_minor.map(Amount),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            usage_limit: self.usage_limit,
            per_customer_limit: self.per_customer_limit,
            first_order_only: self.first_order_only,
            is_active: self.is_active,
            used_count: self.used_count,
        }
    }
}

/// A coupon with what it is for.
#[derive(Clone, Debug)]
pub(in crate::features::coupons) struct Whole {
    pub stored: Stored,
    pub products: Vec<ProductId>,
    pub categories: Vec<CategoryId>,
}

impl Whole {
    /// Its terms.
    pub(in crate::features::coupons) fn terms(&self) -> Terms {
        let coupon = self.stored.coupon();
        Terms {
            worth: coupon.worth,
            rules: Rules {
                description: self.stored.description.clone(),
                min_subtotal: coupon.min_subtotal,
                starts_at: coupon.starts_at,
                ends_at: coupon.ends_at,
                usage_limit: coupon.usage_limit,
                per_customer_limit: coupon.per_customer_limit,
                first_order_only: coupon.first_order_only,
                is_active: coupon.is_active,
                is_scoped: self.stored.is_scoped,
                products: self.products.clone(),
                categories: self.categories.clone(),
            },
        }
    }
}

/// A coupon, archived or not.
pub(in crate::features::coupons) async fn find(c: &mut PgConnection, id: CouponId) -> sqlx::Result<Option<Whole>> {
    let Some(stored) = sqlx::query_as!(
        Stored,
        r#"select id as "id: CouponId", code as "code: Code", description, amount_minor, rate_basis_points,
                  max_discount_minor, min_subtotal_minor, starts_at, ends_at, usage_limit, per_customer_limit,
                  first_order_only, is_active, is_scoped, used_count, discount_total_minor, version, created_at, updated_at,
                  archived_at
           from coupons where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut *c)
    .await?
    else {
        return Ok(None);
    };
    if !stored.is_scoped {
        return Ok(Some(Whole { stored, products: Vec::new(), categories: Vec::new() }));
    }
    let scope = sqlx::query!(
        r#"select array(select product_id from coupon_products where coupon_id = $1 order by 1)
                    as "products!: Vec<ProductId>",
                  array(select category_id from coupon_categories where coupon_id = $1 order by 1)
                    as "categories!: Vec<CategoryId>""#,
        id.0,
    )
    .fetch_one(c)
    .await?;
    Ok(Some(Whole { stored, products: scope.products, categories: scope.categories }))
}

/// Locks a coupon that is not archived: until the transaction ends nobody redeems it. False when there is none.
pub(in crate::features::coupons) async fn lock(c: &mut PgConnection, id: CouponId) -> sqlx::Result<bool> {
    let locked = sqlx::query!("select id from coupons where id = $1 and archived_at is null for update", id.0);
    Ok(locked.fetch_optional(c).await?.is_some())
}

/// Writes new coupons that differ in their codes only. Gives the codes of those that were written: the others' are taken.
pub(in crate::features::coupons) async fn insert(
    c: &mut PgConnection,
    new: &[(CouponId, Code)],
    terms: &Terms,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Code>> {
    let (ids, codes): (Vec<_>, Vec<_>) = new.iter().map(|(id, code)| (id.0, code.as_str().to_owned())).unzip();
    let (rules, (kind, amount, rate, max)) = (&terms.rules, columns(terms.worth));
    let written = sqlx::query!(
        r#"insert into coupons (id, code, description, kind, amount_minor, rate_basis_points, max_discount_minor,
                                min_subtotal_minor, starts_at, ends_at, usage_limit, per_customer_limit, first_order_only,
                                is_active, is_scoped, created_at, updated_at)
           select id, code, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16
           from unnest($1::uuid[], $2::text[]) as n (id, code)
           on conflict (code) where archived_at is null do nothing
           returning id, code as "code: Code""#,
        &ids,
        &codes,
        rules.description,
        kind,
        amount,
        rate,
        max,
        rules.min_subtotal.map(|amount| amount.0),
        rules.starts_at,
        rules.ends_at,
        rules.usage_limit,
        rules.per_customer_limit,
        rules.first_order_only,
        rules.is_active,
        rules.is_scoped,
        now,
    )
    .fetch_all(&mut *c)
    .await?;
    let (ids, codes): (Vec<_>, Vec<_>) = written.into_iter().map(|row| (row.id, row.code)).unzip();
    insert_scope(c, &ids, rules).await?;
    Ok(codes)
}

/// Writes what coupons are for.
async fn insert_scope(c: &mut PgConnection, coupons: &[Uuid], rules: &Rules) -> sqlx::Result<()> {
    let products: Vec<_> = rules.products.iter().map(|id| id.0).collect();
    let categories: Vec<_> = rules.categories.iter().map(|id| id.0).collect();
    sqlx::query!(
        "with products as (
           insert into coupon_products (coupon_id, product_id)
           select c, p from unnest($1::uuid[]) c cross join unnest($2::uuid[]) p)
         insert into coupon_categories (coupon_id, category_id)
         select c, g from unnest($1::uuid[]) c cross join unnest($3::uuid[]) g",
        coupons,
        &products,
        &categories,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Which of these are no products, and which are no categories.
pub(in crate::features::coupons) async fn unknown(
    c: &mut PgConnection,
    rules: &Rules,
) -> sqlx::Result<(Vec<ProductId>, Vec<CategoryId>)> {
    let products: Vec<_> = rules.products.iter().map(|id| id.0).collect();
    let categories: Vec<_> = rules.categories.iter().map(|id| id.0).collect();
    let unknown = sqlx::query!(
        r#"select array(select u from unnest($1::uuid[]) u where not exists (select from products where id = u))
                    as "products!: Vec<ProductId>",
                  array(select u from unnest($2::uuid[]) u where not exists (select from categories where id = u))
                    as "categories!: Vec<CategoryId>""#,
        &products,
        &categories,
    )
    .fetch_one(c)
    .await?;
    Ok((unknown.products, unknown.categories))
}

/// Gives a locked coupon other terms. Uses beyond the limit are within a new one, which must not be below the uses.
pub(in crate::features::coupons) async fn update(
    c: &mut PgConnection,
    id: CouponId,
    code: &Code,
    terms: &Terms,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (rules, (kind, amount, rate, max)) = (&terms.rules, columns(terms.worth));
    sqlx::query!(
        "update coupons
         set code = $2, description = $3, kind = $4, amount_minor = $5, rate_basis_points = $6, max_discount_minor = $7,
             min_subtotal_minor = $8, starts_at = $9, ends_at = $10, usage_limit = $11,
             late_count = case when usage_limit is distinct from $11 then 0 else late_count end,
             per_customer_limit = $12, first_order_only = $13, is_active = $14, is_scoped = $15, version = version + 1,
             updated_at = $16
         where id = $1",
        id.0,
        code.as_str(),
        rules.description,
        kind,
        amount,
        rate,
        max,
        rules.min_subtotal.map(|amount| amount.0),
        rules.starts_at,
        rules.ends_at,
        rules.usage_limit,
        rules.per_customer_limit,
        rules.first_order_only,
        rules.is_active,
        rules.is_scoped,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Writes anew what a locked coupon is for.
pub(in crate::features::coupons) async fn replace_scope(
    c: &mut PgConnection,
    id: CouponId,
    rules: &Rules,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with products as (delete from coupon_products where coupon_id = $1)
         delete from coupon_categories where coupon_id = $1",
        id.0,
    )
    .execute(&mut *c)
    .await?;
    insert_scope(c, &[id.0], rules).await
}

/// Puts a locked coupon away: it works no more, and its code is free.
pub(in crate::features::coupons) async fn archive(
    c: &mut PgConnection,
    id: CouponId,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update coupons set archived_at = $2, is_active = false, updated_at = $2, version = version + 1 where id = $1",
        id.0,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Removes a coupon that was never used.
pub(in crate::features::coupons) async fn delete(c: &mut PgConnection, id: CouponId) -> sqlx::Result<()> {
    sqlx::query!("delete from coupons where id = $1", id.0).execute(c).await?;
    Ok(())
}

/// Which coupons.
#[derive(Debug)]
pub(in crate::features::coupons) struct Filter<'a> {
    /// None: all but the archived ones.
    pub status: Option<Status>,
    /// The beginning of the code, in upper case.
    pub code: Option<&'a str>,
    /// The time to which the status belongs.
    pub now: DateTime<Utc>,
}

/// Coupons, the newest first, and the last one's id where more follow.
pub(in crate::features::coupons) async fn list(
    c: &mut PgConnection,
    filter: &Filter<'_>,
    part: Part,
) -> sqlx::Result<(Vec<Stored>, Option<Uuid>)> {
    let mut query = QueryBuilder::new("select *");
    push_source(&mut query, filter);
    if let Some(id) = part.behind {
        query.push(" and id < ").push_bind(id);
    }
    // Ids are made in the order of time.
    query.push(" order by id desc limit ").push_bind(part.page.limit + 1);
    query.push(" offset ").push_bind(part.offset());
    let rows = query.build_query_as().fetch_all(c).await?;
    Ok(part.cut(rows, |row: &Stored| row.id.0))
}

/// How many there are.
pub(in crate::features::coupons) async fn total(c: &mut PgConnection, filter: &Filter<'_>) -> sqlx::Result<Total> {
    count::total(c, |query| push_source(query, filter)).await
}

/// As [`crate::features::coupons::model::Coupon::status`].
fn push_source(query: &mut QueryBuilder<Postgres>, filter: &Filter<'_>) {
    query.push(" from coupons where archived_at is ");
    query.push(if filter.status == Some(Status::Archived) { "not null" } else { "null" });
    let mut is = |negation: &'static str, condition: &'static str| {
        query.push(" and ").push(negation).push(condition).push_bind(filter.now).push(", false)");
    };
    const OVER: &str = " coalesce(ends_at <= ";
    const AHEAD: &str = " coalesce(starts_at > ";
    match filter.status {
        Some(Status::Active | Status::UsedUp) => {
            is("not", OVER);
            is("not", AHEAD);
        }
        Some(Status::Scheduled) => {
            is("not", OVER);
            is("", AHEAD);
        }
        Some(Status::Expired) => is("", OVER),
        Some(Status::Inactive | Status::Archived) | None => {}
    }
    query.push(match filter.status {
        Some(Status::Active) => " and is_active and coalesce(used_count < usage_limit, true)",
        Some(Status::UsedUp) => " and is_active and used_count >= usage_limit",
        Some(Status::Scheduled | Status::Expired) => " and is_active",
        Some(Status::Inactive) => " and not is_active",
        Some(Status::Archived) | None => "",
    });
    if let Some(code) = filter.code {
        query.push(" and starts_with(code, ").push_bind(code.to_owned()).push(")");
    }
}
