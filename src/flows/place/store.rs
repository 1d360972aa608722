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
    sqlx::query_file_as!(Line, "src/flows/place/offers.sql", &variants, &products,).fetch_all(c).await
}

#[derive(Debug)]
pub(super) struct NewOrder {
    pub order: Order,
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
    /// Nothing is written: the account was erased.
    Gone,
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
pub(super) async fn insert(c: &mut PgConnection, new: &NewOrder, now: DateTime<Utc>) -> sqlx::Result<Outcome> {
    let order = &new.order;
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
    let row = sqlx::query_file!(
        "src/flows/place/insert.sql",
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
    // Outside of a transaction the statement commits by itself, which may fail after the row was sent: read to the end.
    .fetch_all(c)
    .await?
    .pop()
    .ok_or(sqlx::Error::RowNotFound)?;
    Ok(match row.number {
        Some(number) => Outcome::Placed { number },
        None if row.gone => Outcome::Gone,
        None if row.short.is_empty() => Outcome::Stale,
        None => Outcome::Short(row.short.into_iter().zip(row.available).collect()),
    })
}
