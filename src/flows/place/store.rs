//! The statement that places orders.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::Item;
use crate::features::carts::CartLine;
use crate::features::coupons::NewRedemption;
use crate::features::orders::{Order, OrderItem, OrderTax, PaymentMethod, Status};
use crate::platform::ids::{ProductId, UserId, VariantId};

/// A line to order, with its variant as it was read.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub product_id: ProductId,
    pub variant_id: VariantId,
    pub sku: String,
    pub title: String,
    pub options: Value,
    pub image_url: Option<String>,
    pub price_minor: i64,
    pub currency: String,
    /// What one weighs.
    pub grams: i32,
    /// Units that nobody has.
    pub available: i32,
    /// Units that are wanted.
    pub quantity: i32,
}

impl From<CartLine> for Line {
    fn from(line: CartLine) -> Self {
        Self {
            product_id: line.product_id,
            variant_id: line.variant_id,
            sku: line.sku,
            title: line.title,
            options: line.options,
            image_url: line.image_url,
            price_minor: line.price_minor,
            currency: line.currency,
            grams: line.grams,
            available: line.available,
            quantity: line.quantity,
        }
    }
}

/// The variants for sale among these items, each once. A product that is named without a variant gives two of its variants,
/// if it has so many.
pub(super) async fn offers(c: &mut PgConnection, items: &[&Item]) -> sqlx::Result<Vec<Line>> {
    let variants: BTreeSet<_> = items.iter().filter_map(|item| item.variant).map(|id| id.0).collect();
    let products: BTreeSet<_> =
        items.iter().filter(|item| item.variant.is_none()).filter_map(|item| item.product).map(|id| id.0).collect();
    let (variants, products) = (Vec::from_iter(variants), Vec::from_iter(products));
    let mut offers =
        sqlx::query_file_as!(Line, "src/flows/place/offers.sql", &variants, &products).fetch_all(c).await?;
    // One that is named by itself and found by its product comes twice.
    offers.sort_unstable_by_key(|offer| offer.variant_id);
    offers.dedup_by_key(|offer| offer.variant_id);
    Ok(offers)
}

#[derive(Debug)]
pub(super) struct NewOrder {
    /// Its number is not given yet. Its address may be empty: then it gets the account's.
    pub order: Order,
    /// The version of the cart that was read.
    pub cart_version: Option<i32>,
    pub reserved_until: DateTime<Utc>,
    /// The version of the taxes and shipping that it was priced by, the same in all that are written together.
    pub rates_version: i64,
    /// The use of its coupon.
    pub redemption: Option<NewRedemption>,
    /// The arguments of the job that confirms the order.
    pub job: Value,
    pub job_kind: &'static str,
    pub job_attempts: i16,
}

/// What became of an order.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Everything is written.
    Placed { number: String, email: String },
    /// Nothing is written: the account was erased.
    Gone,
    /// Nothing is written: a price, an offer or the cart is not as it was read.
    Stale,
    /// Nothing is written: these variants have only so many available.
    Short(Vec<(VariantId, i32)>),
    /// Nothing is written: orders before it in the batch have taken what it needs, or were about to.
    Behind,
}

/// Writes orders, their lines, reservations with their movements, the first entry of each timeline and the job of each
/// confirmation, and closes the carts. Each order is written wholly, or not at all when stock is short or something was
/// changed; the first one that can be written always is, and so on in their order. No two are of one cart.
///
/// The stock rows are locked in the order of their ids before anything is decided, so batches of the same goods follow each
/// other and never deadlock.
pub(super) async fn insert(
    c: &mut PgConnection,
    orders: &[&NewOrder],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Outcome>> {
    let Some(first) = orders.first() else { return Ok(Vec::new()) };
    let lines: Vec<(i32, i32, &OrderItem)> = (1..)
        .zip(orders)
        .flat_map(|(n, new)| (1..).zip(&new.order.items).map(move |(position, item)| (n, position, item)))
        .collect();
    let rows = sqlx::query_file!(
        "src/flows/place/insert.sql",
        &each(&lines, |line| line.0),
        &each(&lines, |line| line.2.id.0),
        &each(&lines, |line| line.2.product_id.0),
        &each(&lines, |line| line.2.variant_id.0),
        &each(&lines, |line| line.2.sku.clone()),
        &each(&lines, |line| line.2.title.clone()),
        &each(&lines, |line| line.2.variant_name.clone()),
        &each(&lines, |line| line.2.image_url.clone()) as &[Option<String>],
        &each(&lines, |line| line.2.unit_price_minor),
        &each(&lines, |line| line.2.quantity),
        &each(&lines, |line| line.2.total_minor),
        &each(&lines, |line| line.2.tax_minor),
        &each(&lines, |line| line.1),
        &each(&lines, |line| line.2.discount_minor),
        &each(&lines, |line| line.2.tax_included_minor),
        &each(orders, |new| new.order.id.0),
        &each(orders, |new| new.order.user_id.map(|id| id.0)) as &[Option<Uuid>],
        &each(orders, |new| new.order.cart_id.map(|id| id.0)) as &[Option<Uuid>],
        &each(orders, |new| new.cart_version) as &[Option<i32>],
        &each(orders, |new| Some(new.order.email.clone()).filter(|email| !email.is_empty())) as &[Option<String>],
        &each(orders, |new| new.order.currency.clone()),
        &each(orders, |new| new.order.subtotal_minor),
        &each(orders, |new| new.order.discount_minor),
        &each(orders, |new| new.order.shipping_minor),
        &each(orders, |new| new.order.tax_minor),
        &each(orders, |new| new.order.total_minor),
        &each(orders, |new| new.order.tax_included_minor),
        &each(orders, |new| Json(new.order.taxes.clone())) as &[Json<Vec<OrderTax>>],
        &each(orders, |new| new.order.coupon_code.clone()) as &[Option<String>],
        &each(orders, |new| new.order.shipping_address.clone()),
        &each(orders, |new| new.order.shipping_method.clone()),
        &each(orders, |new| new.order.shipping_name.clone()) as &[Option<String>],
        &each(orders, |new| new.order.payment_method) as &[PaymentMethod],
        &each(orders, |new| new.order.notes.clone()) as &[Option<String>],
        &each(orders, |new| new.order.expires_at) as &[Option<DateTime<Utc>>],
        &each(orders, |new| new.reserved_until),
        &each(orders, |new| new.job.clone()),
        now,
        Status::PendingPayment as Status,
        first.job_kind,
        first.job_attempts,
        first.rates_version,
    )
    // Outside of a transaction the statement commits by itself, which may fail after the rows were sent: read to the end.
    .fetch_all(c)
    .await?;
    let mut outcomes = vec![Outcome::Behind; orders.len()];
    for row in rows {
        let Some(outcome) = usize::try_from(row.n - 1).ok().and_then(|i| outcomes.get_mut(i)) else { continue };
        if let Some(number) = row.number {
            *outcome = Outcome::Placed { number, email: row.email.unwrap_or_default() };
        } else if row.is_gone {
            *outcome = Outcome::Gone;
        } else if row.is_stale {
            *outcome = Outcome::Stale;
        } else if row.available < row.quantity {
            let line = (row.variant_id, row.available);
            match outcome {
                Outcome::Short(short) => short.push(line),
                Outcome::Behind => *outcome = Outcome::Short(vec![line]),
                _ => {}
            }
        }
    }
    Ok(outcomes)
}

/// Locks the persons and carts of these orders, as the statement that places them does: they come before the coupons. Guests
/// who order items have neither.
pub(super) async fn lock_buyers(c: &mut PgConnection, orders: &[&NewOrder]) -> sqlx::Result<()> {
    let users = each(orders, |new| new.order.user_id.map(|id| id.0));
    let carts = each(orders, |new| new.order.cart_id.map(|id| id.0));
    if users.iter().chain(&carts).all(Option::is_none) {
        return Ok(());
    }
    sqlx::query!(
        "with person as (select id from users where id = any($1) order by id for share)
         select id from carts where id = any($2) and (select count(*) from person) >= 0 order by id for update",
        &users as &[Option<Uuid>],
        &carts as &[Option<Uuid>],
    )
    .fetch_all(c)
    .await?;
    Ok(())
}

/// Of whom an order that is paid on delivery is, as far as one buyer has only so many.
#[derive(Clone, Debug)]
pub(super) struct Owing {
    pub email: String,
    pub phone: String,
    /// His orders that are to be paid on delivery.
    pub orders: i64,
}

/// Lets those who place orders to be paid on delivery follow each other, where they have one e-mail address or telephone number.
/// Taken before any row, in the order of the keys.
pub(super) async fn lock_owing(c: &mut PgConnection, orders: &[&Order]) -> sqlx::Result<()> {
    let (users, emails, phones) = owners(orders);
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('pays on delivery ' || key, 0))
         from (select distinct unnest(array[coalesce(o.email, u.email), o.phone]) as key
               from unnest($1::uuid[], $2::text[], $3::text[]) as o (user_id, email, phone)
               left join users u on u.id = o.user_id order by key) keys
         where key <> ''",
        &users as &[Option<Uuid>],
        &emails as &[Option<String>],
        &phones,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Of whom these orders are, in their order, with how many orders each has to pay on delivery, by his address or number.
pub(super) async fn owing(c: &mut PgConnection, orders: &[&Order]) -> sqlx::Result<Vec<Owing>> {
    let (users, emails, phones) = owners(orders);
    sqlx::query_as!(
        Owing,
        r#"select coalesce(a.email, u.email, '') as "email!", a.phone as "phone!",
                  (select count(*) from (
                     select id from orders
                     where email = coalesce(a.email, u.email) and payment_method = 'pay_on_delivery' and paid_at is null
                       and status in ('processing', 'shipped', 'delivered', 'return_requested')
                     union
                     select id from orders
                     where shipping_address ->> 'phone' = nullif(a.phone, '') and payment_method = 'pay_on_delivery'
                       and paid_at is null
                       and status in ('processing', 'shipped', 'delivered', 'return_requested')) owed) as "orders!"
           from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as a (user_id, email, phone, n)
           left join users u on u.id = a.user_id order by a.n"#,
        &users as &[Option<Uuid>],
        &emails as &[Option<String>],
        &phones,
    )
    .fetch_all(c)
    .await
}

/// Whose orders these are: accounts, addresses where they were given, telephone numbers.
fn owners(orders: &[&Order]) -> (Vec<Option<Uuid>>, Vec<Option<String>>, Vec<String>) {
    (
        each(orders, |order| order.user_id.map(|id| id.0)),
        each(orders, |order| Some(order.email.clone()).filter(|email| !email.is_empty())),
        each(orders, |order| order.shipping_address["phone"].as_str().unwrap_or_default().to_owned()),
    )
}

/// How many orders with the address of this account are to be paid on delivery.
pub(super) async fn owed(c: &mut PgConnection, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from orders
           where email = (select email from users where id = $1) and payment_method = 'pay_on_delivery'
             and paid_at is null and status in ('processing', 'shipped', 'delivered', 'return_requested')"#,
        user.0,
    )
    .fetch_one(c)
    .await
}

/// One column of several rows.
fn each<T, U>(rows: &[T], column: impl Fn(&T) -> U) -> Vec<U> {
    rows.iter().map(column).collect()
}
