//! How a cart is shown. Its sums are those of the order that would be placed of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Capped, CartLine};
use crate::app::App;
use crate::features::catalog::variant_name_of;
use crate::flows::quote;
use crate::flows::rates::Rates;
use crate::platform::error::Result;
use crate::platform::format::absolute_url;
use crate::platform::ids::{CartId, CartItemId, ProductId, VariantId};
use crate::platform::money::Amount;

/// A cart with prices as they are now. The sums count what can be bought: lines with the notice `unavailable` are not in them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CartView {
    /// None while the cart is empty.
    id: Option<CartId>,
    /// Counts the changes; 0 while the cart is empty.
    version: i32,
    items: Vec<CartItemView>,
    #[schema(example = "NGN")]
    currency: String,
    /// The lines together.
    subtotal: Amount,
    discount: Amount,
    /// By the first way of shipping within the shop's country. `POST /orders/quote` knows the other ones.
    shipping: Amount,
    tax: Amount,
    total: Amount,
    /// Units of all lines that can be bought.
    item_count: i64,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CartItemView {
    id: CartItemId,
    product_id: ProductId,
    variant_id: VariantId,
    sku: String,
    title: String,
    slug: String,
    variant_name: String,
    image: Option<String>,
    quantity: i32,
    price: Amount,
    total: Amount,
    /// What is available.
    available: i32,
    /// What the shopper should know before he orders.
    notices: Vec<CartNotice>,
}

/// Something the shopper should know about a line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum CartNotice {
    /// The price is not the one that was shown before. It is told until the line is edited or the new price acknowledged.
    PriceChanged {
        /// The price that was shown.
        #[serde(rename = "previousPrice")]
        previous_price: Amount,
    },
    /// Fewer are available than the line has. An order is refused until it has no more than that.
    LowStock {
        /// What is available.
        available: i32,
    },
    /// It is sold out or not for sale any more. An order is refused until the line is removed.
    Unavailable,
}

/// What came of joining two carts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CartMergeView {
    /// Lines that are new or have more units.
    changed: usize,
    /// Lines of which not all was taken.
    capped: Vec<CappedView>,
}

/// A line of which the two carts together had more than one cart may have, or than there is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CappedView {
    variant_id: VariantId,
    title: String,
    /// How many the two carts had together.
    wanted: i32,
    /// How many the cart has. 0 when it has no place for another line.
    quantity: i32,
}

impl CartMergeView {
    pub(super) fn new(changed: usize, capped: Vec<Capped>) -> Self {
        let view = |Capped { variant_id, title, wanted, quantity }| CappedView { variant_id, title, wanted, quantity };
        Self { changed, capped: capped.into_iter().map(view).collect() }
    }
}

impl CartView {
    pub(super) fn new(app: &App, rates: &Rates, lines: Vec<CartLine>) -> Result<Self> {
        let totals = quote::of_cart(rates, &lines, &app.config.store.country, app.clock.now())?;
        let base = app.config.public_url();
        let (id, version) = lines.first().map_or((None, 0), |line| (Some(line.cart_id), line.version));
        let item_count = lines.iter().filter(|line| line.is_buyable()).map(|line| i64::from(line.quantity)).sum();
        let items = lines.into_iter().map(|line| CartItemView::new(line, &base)).collect::<Result<_>>()?;
        Ok(Self {
            id,
            version,
            items,
            currency: app.config.store.currency.clone(),
            subtotal: totals.subtotal,
            discount: totals.discount,
            shipping: totals.shipping,
            tax: totals.tax,
            total: totals.total,
            item_count,
        })
    }
}

impl CartItemView {
    /// `base` is this server's public address.
    fn new(line: CartLine, base: &str) -> Result<Self> {
        Ok(Self {
            notices: notices(&line),
            id: line.id,
            product_id: line.product_id,
            variant_id: line.variant_id,
            sku: line.sku,
            title: line.title,
            slug: line.slug,
            variant_name: variant_name_of(&line.options),
            image: line.image_url.map(|url| absolute_url(&url, base)),
            quantity: line.quantity,
            price: Amount(line.price_minor),
            total: Amount(line.price_minor).times(line.quantity)?,
            available: line.available,
        })
    }
}

fn notices(line: &CartLine) -> Vec<CartNotice> {
    if !line.is_buyable() {
        return vec![CartNotice::Unavailable];
    }
    let mut notices = Vec::new();
    if line.available < line.quantity {
        notices.push(CartNotice::LowStock { available: line.available });
    }
    if line.price_minor != line.seen_price_minor {
        notices.push(CartNotice::PriceChanged { previous_price: Amount(line.seen_price_minor) });
    }
    notices
}
