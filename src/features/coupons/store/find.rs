//! SQL of a coupon as an order needs it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::worth;
use crate::features::coupons::Refusal;
use crate::features::coupons::model::{Code, Coupon, CouponLine, Customer, CustomerKey, Discount, Facts, discount};
use crate::platform::ids::{CouponId, ProductId, UserId};
use crate::platform::money::Amount;
use crate::platform::text::Email;

/// A coupon with what decides about its discount.
#[derive(Clone, Debug)]
pub struct Found {
    /// The coupon.
    pub coupon: Coupon,
    /// Those of the products that it is for.
    pub in_scope: Vec<ProductId>,
    /// Whoever asks, as far as that is known.
    pub customer: Option<Customer>,
}

impl Found {
    /// What the coupon takes off these goods, given as products with the totals of their lines.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn discount(&self, goods: &[(ProductId, Amount)], now: DateTime<Utc>) -> Result<Discount, Refusal> {
        let line = |(product, total): &(ProductId, Amount)| CouponLine {
            total: *total,
            in_scope: self.in_scope.contains(product),
        };
        let lines: Vec<_> = goods.iter().map(line).collect();
        discount(&self.coupon, &lines, &Facts { now, customer: self.customer })
    }
}

/// Somebody's wish to use a coupon.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its code.
    pub code: &'a Code,
    /// His account.
    pub user: Option<UserId>,
    /// The address that a guest gives.
    pub email: Option<&'a Email>,
}

struct Row {
    wish: i64,
    id: CouponId,
    code: Code,
    version: i32,
    amount_minor: Option<i64>,
    rate_basis_points: Option<i32>,
    max_discount_minor: Option<i64>,
    min_subtotal_minor: Option<i64>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    usage_limit: Option<i32>,
    per_customer_limit: Option<i32>,
    first_order_only: bool,
    is_active: bool,
    used_count: i32,
    in_scope: Vec<ProductId>,
    customer: Option<Vec<u8>>,
    uses: i64,
    is_first_order: bool,
}

/// Whether a coupon that was not archived has this code.
///
/// # Errors
/// The database's.
pub async fn is_known(c: &mut PgConnection, code: &Code) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from coupons where code = $1 and archived_at is null) as "known!""#,
        code.as_str(),
    )
    .fetch_one(c)
    .await
}

/// The coupon of one wish, as [`find_all`].
///
/// # Errors
/// The database's.
pub async fn find(c: &mut PgConnection, wanted: Wanted<'_>, products: &[ProductId]) -> sqlx::Result<Option<Found>> {
    Ok(find_all(c, &[wanted], products).await?.pop().flatten())
}

/// For each wish the coupon of its code, if there is one that was not archived; which of these products are in its scope, a category
/// with all below it; and what is known of the customer: the account `user`, by its address, or else whoever gives `email`. Orders
/// that were given up are neither uses nor first orders. It is one statement and locks nothing: what holds at the end is decided by
/// [`super::redemptions::redeem_all`].
///
/// # Errors
/// The database's.
pub async fn find_all(
    c: &mut PgConnection,
    wanted: &[Wanted<'_>],
    products: &[ProductId],
) -> sqlx::Result<Vec<Option<Found>>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let codes: Vec<_> = wanted.iter().map(|wanted| wanted.code.as_str().to_owned()).collect();
    let users: Vec<_> = wanted.iter().map(|wanted| wanted.user.map(|id| id.0)).collect();
    let emails: Vec<_> = wanted.iter().map(|wanted| wanted.email.map(|email| email.as_str().to_owned())).collect();
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"with recursive wanted as (
             select w.code, w.user_id, w.wish, case when w.user_id is null then w.email else u.email end as email
             from unnest($1::text[], $2::uuid[], $3::text[]) with ordinality w (code, user_id, email, wish)
             left join users u on u.id = w.user_id),
           coupon as materialized (select * from coupons where code = any($1) and archived_at is null),
           within as (
             select s.coupon_id, s.category_id from coupon_categories s join coupon c on c.id = s.coupon_id
             union select within.coupon_id, below.id from categories below join within on below.parent_id = within.category_id),
           scope as materialized (
             select c.id, array(
               select p.id from products p
               where p.id = any($4) and (not c.is_scoped
                 or exists (select from within w where w.coupon_id = c.id and w.category_id = p.category_id)
                 or exists (select from coupon_products s where s.coupon_id = c.id and s.product_id = p.id))) as products
             from coupon c)
           select w.wish as "wish!", c.id as "id: CouponId", c.code as "code: Code", c.version, c.amount_minor,
                  c.rate_basis_points, c.max_discount_minor, c.min_subtotal_minor, c.starts_at, c.ends_at, c.usage_limit,
                  c.per_customer_limit, c.first_order_only, c.is_active, c.used_count,
                  scope.products as "in_scope!: Vec<ProductId>", sha256(convert_to(w.email, 'UTF8')) as "customer?",
                  (select count(*) from coupon_redemptions r
                   where r.coupon_id = c.id and r.customer = sha256(convert_to(w.email, 'UTF8')) and r.returned_at is null)
                    as "uses!",
                  not exists (select from orders o where o.email = w.email and o.status <> 'cancelled')
                    and not exists (select from orders o where o.user_id = w.user_id and o.status <> 'cancelled')
                    as "is_first_order!"
           from wanted w join coupon c on c.code = w.code join scope on scope.id = c.id"#,
        &codes,
        &users as &[Option<Uuid>],
        &emails as &[Option<String>],
        &products,
    )
    .fetch_all(c)
    .await?;
    let mut found: Vec<_> = wanted.iter().map(|_| None).collect();
    for row in rows {
        let place = usize::try_from(row.wish - 1).ok().and_then(|i| found.get_mut(i));
        if let Some(place) = place {
            *place = Some(Found::from(row));
        }
    }
    Ok(found)
}

impl From<Row> for Found {
    fn from(row: Row) -> Self {
        Self {
            customer: row.customer.and_then(|key| key.try_into().ok()).map(|key| Customer {
                key: CustomerKey(key),
                uses: row.uses,
                is_first_order: row.is_first_order,
            }),
            in_scope: row.in_scope,
            coupon: Coupon {
                id: row.id,
                code: row.code,
                version: row.version,
                worth: worth(row.amount_minor, row.rate_basis_points, row.max_discount_minor),
                min_subtotal: row.min_subtotal_minor.map(Amount),
                starts_at: row.starts_at,
                ends_at: row.ends_at,
                usage_limit: row.usage_limit,
                per_customer_limit: row.per_customer_limit,
                first_order_only: row.first_order_only,
                is_active: row.is_active,
                used_count: row.used_count,
            },
        }
    }
}
