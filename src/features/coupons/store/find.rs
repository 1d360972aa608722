//! SQL of a coupon as an order needs it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::worth;
use crate::features::coupons::model::{Code, Coupon, Customer, CustomerKey};
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

struct Row {
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

/// The coupon of a code that was not archived; which of these products are in its scope, a category with all below it; and what
/// is known of the customer: the account `user`, by its address, or else whoever gives `email`. Orders that were given up are
/// neither uses nor first orders. It locks nothing: what holds at the end is decided by [`super::redemptions::redeem_all`].
///
/// # Errors
/// The database's.
pub async fn find(
    c: &mut PgConnection,
    code: &Code,
    products: &[ProductId],
    user: Option<UserId>,
    email: Option<&Email>,
) -> sqlx::Result<Option<Found>> {
    let products: Vec<_> = products.iter().map(|id| id.0).collect();
    let row = sqlx::query_as!(
        Row,
        r#"with recursive coupon as (select * from coupons where code = $1 and archived_at is null),
           within as (
             select s.category_id from coupon_categories s join coupon c on c.id = s.coupon_id
             union select below.id from categories below join within on below.parent_id = within.category_id),
           customer as (
             select email, sha256(convert_to(email, 'UTF8')) as key
             from (select case when $3::uuid is null then $4 else (select email from users where id = $3) end as email) e
             where email is not null)
           select c.id as "id: CouponId", c.code as "code: Code", c.version, c.amount_minor, c.rate_basis_points,
                  c.max_discount_minor, c.min_subtotal_minor, c.starts_at, c.ends_at, c.usage_limit,
                  c.per_customer_limit, c.first_order_only, c.is_active, c.used_count,
                  array(select p.id from products p
                        where p.id = any($2) and (not c.is_scoped
                          or p.category_id in (select category_id from within)
                          or exists (select from coupon_products s where s.coupon_id = c.id and s.product_id = p.id)))
                    as "in_scope!: Vec<ProductId>",
                  customer.key as "customer?",
                  (select count(*) from coupon_redemptions r
                   where r.coupon_id = c.id and r.customer = customer.key and r.returned_at is null) as "uses!",
                  not exists (select from orders o where o.email = customer.email and o.status <> 'cancelled')
                    and not exists (select from orders o where o.user_id = $3 and o.status <> 'cancelled')
                    as "is_first_order!"
           from coupon c left join customer on true"#,
        code.as_str(),
        &products,
        user.map(|id| id.0),
        email.map(Email::as_str),
    )
    .fetch_optional(c)
    .await?;
    Ok(row.map(|row| Found {
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
    }))
}
