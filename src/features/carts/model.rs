//! How a cart is shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::store::CartLine;
use crate::features::catalog::variant_name_of;
use crate::platform::error::Result;
use crate::platform::format::absolute_url;
use crate::platform::ids::{CartId, CartItemId, ProductId, VariantId};
use crate::platform::money::Amount;

/// A cart with prices as they are now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CartView {
    /// None while the cart is empty.
    id: Option<CartId>,
    /// Counts the changes.
    version: i32,
    items: Vec<CartItemView>,
    #[schema(example = "NGN")]
    currency: String,
    /// The lines together.
    subtotal: Amount,
    discount: Amount,
    /// Known once an address is given; placing the order states it.
    shipping: Amount,
    tax: Amount,
    total: Amount,
    /// Units of all lines.
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
    /// What has changed since the line was last edited.
    notices: Vec<CartNotice>,
}

/// Something the shopper should know about a line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum CartNotice {
    /// The price is not the one that was shown before.
    PriceChanged {
        /// The price that was shown.
        #[serde(rename = "previousPrice")]
        previous_price: Amount,
    },
    /// Fewer are available than the line has.
    LowStock {
        /// What is available.
        available: i32,
    },
    /// It cannot be bought any more.
    Unavailable,
}

impl CartView {
    /// `base` is this server's public address.
    pub(super) fn new(lines: Vec<CartLine>, tax_rate: u32, currency: &str, base: &str) -> Result<Self> {
        let (mut subtotal, mut tax, mut item_count) = (Amount(0), Amount(0), 0);
        let (id, version) = lines.first().map_or((None, 0), |line| (Some(line.cart_id), line.version));
        let mut items = Vec::with_capacity(lines.len());
        for line in lines {
            let total = Amount(line.price_minor).times(line.quantity)?;
            let mut notices = Vec::new();
            if !line.on_sale || line.available <= 0 {
                notices.push(CartNotice::Unavailable);
            } else {
                if line.available < line.quantity {
                    notices.push(CartNotice::LowStock { available: line.available });
                }
                if line.price_minor != line.seen_price_minor {
                    notices.push(CartNotice::PriceChanged { previous_price: Amount(line.seen_price_minor) });
                }
            }
            subtotal = subtotal.checked_add(total)?;
            tax = tax.checked_add(total.basis_points(tax_rate)?)?;
            item_count += i64::from(line.quantity);
            items.push(CartItemView {
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
                total,
                available: line.available,
                notices,
            });
        }
        Ok(Self {
            id,
            version,
            items,
            currency: currency.to_owned(),
            subtotal,
            discount: Amount(0),
            shipping: Amount(0),
            tax,
            total: subtotal.checked_add(tax)?,
            item_count,
        })
    }
}
