//! What items cost before they are ordered.

use sqlx::PgConnection;

use super::Item;
use super::draft::lines_of;
use super::store;
use crate::platform::config::Config;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::ProductId;
use crate::platform::money::{Amount, Overflow};

/// Refuses items that cannot be those of an order, whatever is for sale.
///
/// # Errors
/// `Validation` of each that is wrong.
pub fn check_items(config: &Config, items: &[Item]) -> Result<()> {
    let (max_lines, max) = (config.orders.max_lines, config.cart.max_quantity);
    if items.is_empty() {
        return Err(Error::field("items", "must have at least one line"));
    }
    if items.len() > max_lines {
        return Err(Error::field("items", format!("must have at most {max_lines} lines")));
    }
    let mut faults = Vec::new();
    for (i, item) in items.iter().enumerate() {
        if !(1..=max).contains(&item.quantity) {
            faults.push(FieldError::new(format!("items[{i}].quantity"), format!("must be between 1 and {max}")));
        }
        if item.variant.is_none() && item.product.is_none() {
            faults.push(FieldError::new(format!("items[{i}].variantId"), "is required"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// The product and the total of each variant of these items, by the prices of this moment, whether there is enough of it or not.
///
/// # Errors
/// `Validation` of what is not for sale, and of more than one may buy.
pub async fn prices(c: &mut PgConnection, items: &[Item], max_quantity: i32) -> Result<Vec<(ProductId, Amount)>> {
    let offers = store::offers(c, &items.iter().collect::<Vec<_>>()).await?;
    let lines = lines_of(items, &offers, max_quantity)?;
    let priced = lines.iter().map(|line| Ok((line.product_id, Amount(line.price_minor).times(line.quantity)?)));
    Ok(priced.collect::<Result<_, Overflow>>()?)
}
