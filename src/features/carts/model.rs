//! The rules of carts that need nothing but the lines.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::{CartId, CartItemId, ProductId, VariantId};

/// A line of a cart with what the shop says about it now.
#[derive(Clone, Debug)]
pub struct CartLine {
    /// The cart.
    pub cart_id: CartId,
    /// Counts the changes of the cart.
    pub version: i32,
    /// When the cart ends; only a guest's does.
    pub expires_at: Option<DateTime<Utc>>,
    /// The line.
    pub id: CartItemId,
    /// Product of the variant.
    pub product_id: ProductId,
    /// What is to be bought.
    pub variant_id: VariantId,
    /// Units. 0 for what is not in the cart yet.
    pub quantity: i32,
    /// The price that the shopper is known to have seen.
    pub seen_price_minor: i64,
    /// The price now.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// What is available now.
    pub available: i32,
    /// Whether it is in the catalogue.
    pub on_sale: bool,
    /// The variant's sku.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// The product's slug.
    pub slug: String,
    /// The variant's options: `[{name, value}]`.
    pub options: Value,
    /// The variant's picture or the product's first.
    pub image_url: Option<String>,
    /// What one unit weighs.
    pub grams: i32,
}

impl CartLine {
    /// Whether any of it can be bought now.
    pub fn is_buyable(&self) -> bool {
        self.on_sale && self.available > 0
    }
}

/// What somebody wants to buy: a variant, or a product that has only one.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The variant.
    pub variant: Option<VariantId>,
    /// Its product.
    pub product: Option<ProductId>,
    /// Units, at least 1.
    pub quantity: i32,
}

impl Wanted {
    /// The one line that is meant, of those that are in the cart and those that could be.
    pub(super) fn find(&self, lines: &[CartLine]) -> Result<usize> {
        let is_meant = |line: &CartLine| {
            let is_product = self.product.is_none_or(|product| product == line.product_id);
            line.on_sale && is_product && self.variant.is_none_or(|variant| variant == line.variant_id)
        };
        let mut meant = lines.iter().enumerate().filter(|(_, line)| is_meant(line));
        match (meant.next(), meant.next()) {
            (Some((i, _)), None) => Ok(i),
            (None, _) => Err(Error::NotFound("The product")),
            _ => Err(Error::field("variantId", "is required, because this product has several variants")),
        }
    }
}

/// Refuses more of a line than there is, or than one may buy. `have` of it were in the cart before.
pub(super) fn check_quantity(quantity: i32, have: i32, available: i32, max: i32) -> Result<()> {
    let refuse = |message: String, detail: String| {
        Err(Error::Conflict { message, details: vec![FieldError::new("quantity", detail)] })
    };
    let have_text = if have > 0 { format!(" Your cart has {have} already.") } else { String::new() };
    if available <= 0 {
        refuse("This is sold out at the moment.".into(), "none are available".into())
    } else if quantity > available {
        refuse(format!("Only {available} of this are left.{have_text}"), format!("must be at most {available} in all"))
    } else if quantity > max {
        refuse(
            format!("You can buy at most {max} of this at once.{have_text}"),
            format!("must be at most {max} in all"),
        )
    } else {
        Ok(())
    }
}

/// A line that two carts together wanted more of than one cart may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capped {
    /// What was wanted.
    pub variant_id: VariantId,
    /// The product's title.
    pub title: String,
    /// How many the two carts had together.
    pub wanted: i32,
    /// How many the cart has. 0 when it has no place for another line.
    pub quantity: i32,
}

/// Units that a cart did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What was wanted.
    pub variant_id: VariantId,
    /// How many were left out.
    pub quantity: i32,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a cart did not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// It is not sold any more.
    NotForSale,
    /// None are there at the moment.
    SoldOut,
    /// So many are not there, or not for one order.
    Limited,
    /// The cart has no place for another line.
    CartFull,
}

/// Of what is wanted, the lines that can be bought at the moment, and what cannot.
pub(super) fn buyable(offers: Vec<CartLine>, wanted: &[(VariantId, i32)]) -> (Vec<CartLine>, Vec<LeftOut>) {
    let (mut lines, mut left_out) = (Vec::new(), Vec::new());
    for (variant_id, quantity) in wanted {
        let offer = offers.iter().find(|offer| offer.variant_id == *variant_id && offer.on_sale);
        let reason = match offer {
            Some(offer) if offer.available > 0 => {
                lines.push(CartLine { quantity: *quantity, ..offer.clone() });
                continue;
            }
            Some(_) => LeftOutReason::SoldOut,
            None => LeftOutReason::NotForSale,
        };
        left_out.push(LeftOut { variant_id: *variant_id, quantity: *quantity, reason });
    }
    (lines, left_out)
}

/// Adds the lines of one cart to those of another, and gives the variants that changed and what was capped.
///
/// Nothing that was in `mine` becomes less, and what cannot be bought at the moment stays, as a line that says so.
pub(super) fn merge(
    mine: &mut Vec<CartLine>,
    theirs: Vec<CartLine>,
    max_quantity: i32,
    max_lines: usize,
) -> (Vec<VariantId>, Vec<Capped>) {
    let (mut changed, mut capped) = (Vec::new(), Vec::new());
    for mut line in theirs {
        let known = mine.iter().position(|known| known.variant_id == line.variant_id);
        let have = known.and_then(|i| mine.get(i)).map_or(0, |known| known.quantity);
        let wanted = have.saturating_add(line.quantity);
        let most = if line.is_buyable() { max_quantity.min(line.available) } else { max_quantity };
        let has_place = known.is_some() || mine.len() < max_lines;
        let quantity = if has_place { wanted.min(most).max(have) } else { 0 };
        if quantity < wanted {
            capped.push(Capped { variant_id: line.variant_id, title: line.title.clone(), wanted, quantity });
        }
        if quantity == have {
            continue;
        }
        changed.push(line.variant_id);
        match known.and_then(|i| mine.get_mut(i)) {
            Some(known) => known.quantity = quantity,
            None => {
                line.quantity = quantity;
                line.id = CartItemId::new();
                mine.push(line);
            }
        }
    }
    (changed, capped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn line(variant: u128, quantity: i32, available: i32) -> CartLine {
        CartLine {
            cart_id: CartId(Uuid::from_u128(1)),
            version: 1,
            expires_at: None,
            id: CartItemId(Uuid::from_u128(variant)),
            product_id: ProductId(Uuid::from_u128(variant)),
            variant_id: VariantId(Uuid::from_u128(variant)),
            quantity,
            seen_price_minor: 100,
            price_minor: 100,
            currency: "NGN".into(),
            available,
            on_sale: true,
            sku: format!("SKU-{variant}"),
            title: format!("Product {variant}"),
            slug: format!("product-{variant}"),
            options: Value::Null,
            image_url: None,
            grams: 0,
        }
    }

    fn quantities(lines: &[CartLine]) -> Vec<(u128, i32)> {
        lines.iter().map(|line| (line.variant_id.0.as_u128(), line.quantity)).collect()
    }

    #[test]
    fn quantities_are_added_and_capped() {
        let mut mine = vec![line(1, 6, 99), line(2, 2, 3), line(3, 4, 0)];
        let theirs = vec![line(1, 6, 99), line(2, 2, 3), line(3, 1, 0), line(4, 5, 2), line(5, 1, 0)];
        let (changed, capped) = merge(&mut mine, theirs, 10, 5);
        assert_eq!(quantities(&mine), [(1, 10), (2, 3), (3, 5), (4, 2), (5, 1)]);
        assert_eq!(changed.len(), 5);
        let capped: Vec<_> = capped.iter().map(|c| (c.variant_id.0.as_u128(), c.wanted, c.quantity)).collect();
        assert_eq!(capped, [(1, 12, 10), (2, 4, 3), (4, 5, 2)]);
    }

    #[test]
    fn a_full_cart_takes_no_more_lines() {
        let mut mine = vec![line(1, 1, 9)];
        let (changed, capped) = merge(&mut mine, vec![line(2, 3, 9), line(1, 1, 9)], 10, 1);
        assert_eq!(quantities(&mine), [(1, 2)]);
        assert_eq!(changed, [VariantId(Uuid::from_u128(1))]);
        assert_eq!((capped.len(), capped[0].wanted, capped[0].quantity), (1, 3, 0));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_exceeds(
            mine in proptest::collection::btree_map(0u128..8, (1i32..12, 0i32..12), 0..8),
            theirs in proptest::collection::btree_map(0u128..8, (1i32..12, 0i32..12), 0..8),
            max_lines in 1usize..10,
        ) {
            let lines = |of: &std::collections::BTreeMap<u128, (i32, i32)>| -> Vec<CartLine> {
                of.iter().map(|(id, (quantity, available))| line(*id, *quantity, *available)).collect()
            };
            let mut merged = lines(&mine);
            let (changed, capped) = merge(&mut merged, lines(&theirs), 10, max_lines);
            prop_assert!(merged.len() <= max_lines.max(mine.len()));
            for line in &merged {
                let id = line.variant_id.0.as_u128();
                let had = mine.get(&id).map_or(0, |(quantity, _)| *quantity);
                let came = theirs.get(&id).map_or(0, |(quantity, _)| *quantity);
                prop_assert!(line.quantity >= had && line.quantity <= had + came);
                prop_assert!(line.quantity <= 10.max(had));
                let is_capped = capped.iter().any(|capped| capped.variant_id == line.variant_id);
                prop_assert_eq!(is_capped, line.quantity < had + came);
                prop_assert_eq!(changed.contains(&line.variant_id), line.quantity != had);
            }
        }
    }
}
