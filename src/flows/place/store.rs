//! The statement that places an order.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::Item;
use crate::features::carts::CartLine;
use crate::features::orders::{Order, PaymentMethod, ShippingMethod, Status};
use crate::platform::ids::{ProductId, VariantId};

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
            quantity: line.quantity,
        }
    }
}

/// The variants for sale among these items. A product that is named without a variant gives all its variants.
pub(super) async fn offers(c: &mut PgConnection, items: &[Item]) -> sqlx::Result<Vec<Line>> {
    let variants: Vec<_> = items.iter().filter_map(|item| item.variant).map(|id| id.0).collect();
    let products: Vec<_> =
        items.iter().filter(|item| item.variant.is_none()).filter_map(|item| item.product).map(|id| id.0).collect();
    sqlx::query_as!(
        Line,
        r#"select product_id as "product_id!: ProductId", variant_id as "variant_id!: VariantId", sku as "sku!",
                  title as "title!", options as "options!", image_url, price_minor as "price_minor!",
                  currency as "currency!", 0 as "quantity!"
           from variant_offers where on_sale and (variant_id = any($1) or product_id = any($2)) limit 5000"#,
        &variants,
        &products,
    )
    .fetch_all(c)
    .await
}

#[derive(Debug)]
pub(super) struct NewOrder<'a> {
    pub order: &'a Order,
    /// The version of the cart that was read.
    pub cart_version: Option<i32>,
    pub reserved_until: DateTime<Utc>,
    /// The arguments of the job that confirms the order.
    pub job: Value,
    pub job_kind: &'static str,
    pub job_attempts: i16,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// Everything is written.
    Placed { number: String },
    /// Nothing is written: these variants have only so many available.
    Short(Vec<(VariantId, i32)>),
    /// Nothing is written: a price, an offer or the cart is not as it was read.
    Stale,
}

/// Writes the order, its lines, its reservations with their movements, the first entry of its timeline and the job of
/// its confirmation, and closes the cart: all, or nothing when stock is short or something was changed.
///
/// The stock rows are locked in the order of their ids before anything is decided, so two orders of the same goods
/// follow each other and never deadlock.
pub(super) async fn insert(c: &mut PgConnection, new: &NewOrder<'_>, now: DateTime<Utc>) -> sqlx::Result<Outcome> {
    let order = new.order;
    let items = &order.items;
    let ids: Vec<_> = items.iter().map(|item| item.id.0).collect();
    let products: Vec<_> = items.iter().map(|item| item.product_id.0).collect();
    let variants: Vec<_> = items.iter().map(|item| item.variant_id.0).collect();
    let skus: Vec<_> = items.iter().map(|item| item.sku.clone()).collect();
    let titles: Vec<_> = items.iter().map(|item| item.title.clone()).collect();
    let names: Vec<_> = items.iter().map(|item| item.variant_name.clone()).collect();
    let images: Vec<_> = items.iter().map(|item| item.image_url.clone()).collect();
    let prices: Vec<_> = items.iter().map(|item| item.unit_price_minor).collect();
    let quantities: Vec<_> = items.iter().map(|item| item.quantity).collect();
    let totals: Vec<_> = items.iter().map(|item| item.total_minor).collect();
    let taxes: Vec<_> = items.iter().map(|item| item.tax_minor).collect();
    let row = sqlx::query!(
        r#"with want as (
             select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::bigint[], $9::int[], $10::bigint[], $11::bigint[]) with ordinality
               as w (id, product_id, variant_id, sku, title, variant_name, image_url, price, quantity, total, tax,
                     position)),
           locked as (
             select variant_id, on_hand - reserved as available from stock_levels
             where variant_id = any($3) order by variant_id for update),
           short as (
             select w.variant_id, coalesce(l.available, 0) as available
             from want w left join locked l using (variant_id) where coalesce(l.available, 0) < w.quantity),
           stale as (
             select from want w left join variants v on v.id = w.variant_id and v.archived_at is null
             left join products p on p.id = v.product_id and p.is_active and p.archived_at is null
             where p.id is null or v.price_minor <> w.price),
           cart as (
             update carts set status = 'ordered', updated_at = $12, expires_at = null
             where id = $13 and status = 'open' and version = $14
               and not exists (select from short) and not exists (select from stale)
             returning id),
           go as (
             select where not exists (select from short) and not exists (select from stale)
                      and ($13::uuid is null or exists (select from cart))),
           placed as (
             insert into orders (id, number, user_id, cart_id, email, status, currency, subtotal_minor, discount_minor,
                                 shipping_minor, tax_minor, total_minor, shipping_address, shipping_method,
                                 payment_method, notes, placed_at, updated_at, expires_at)
             select $15, order_number(extract(year from $12)::int, nextval('order_number_seq')), $16, $13, $17, $18,
                    $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $12, $12, $29
             from go returning id, number),
           lines as (
             insert into order_items (id, order_id, position, product_id, variant_id, sku, title, variant_name,
                                      image_url, unit_price_minor, quantity, total_minor, tax_minor)
             select w.id, placed.id, w.position, w.product_id, w.variant_id, w.sku, w.title, w.variant_name,
                    w.image_url, w.price, w.quantity, w.total, w.tax
             from want w, placed),
           held as (
             insert into reservations (order_id, variant_id, quantity, expires_at)
             select placed.id, w.variant_id, w.quantity, $30 from want w, placed),
           taken as (
             update stock_levels s set reserved = s.reserved + w.quantity
             from want w, placed where s.variant_id = w.variant_id),
           moved as (
             insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, order_id, at)
             select w.variant_id, 0, w.quantity, 'reserve', placed.id, $12 from want w, placed),
           noted as (
             insert into order_events (order_id, type, to_status, actor_type, actor_id, at)
             select id, 'placed', $18, 'customer', $16, $12 from placed)
           select (select number from placed) as number,
                  (select enqueue_job($31, $32, $33) from placed) as job,
                  array(select variant_id from short order by variant_id) as "short!: Vec<VariantId>",
                  array(select available from short order by variant_id) as "available!: Vec<i32>""#,
        &ids,
        &products,
        &variants,
        &skus,
        &titles,
        &names,
        &images as &[Option<String>],
        &prices,
        &quantities,
        &totals,
        &taxes,
        now,
        order.cart_id.map(|id| id.0),
        new.cart_version,
        order.id.0,
        order.user_id.map(|id| id.0),
        order.email,
        order.status as Status,
        order.currency,
        order.subtotal_minor,
        order.discount_minor,
        order.shipping_minor,
        order.tax_minor,
        order.total_minor,
        order.shipping_address,
        order.shipping_method as ShippingMethod,
        order.payment_method as PaymentMethod,
        order.notes,
        order.expires_at,
        new.reserved_until,
        new.job_kind,
        new.job,
        new.job_attempts,
    )
    .fetch_one(c)
    .await?;
    Ok(match row.number {
        Some(number) => Outcome::Placed { number },
        None if row.short.is_empty() => Outcome::Stale,
        None => Outcome::Short(row.short.into_iter().zip(row.available).collect()),
    })
}
