//! What a coupon would take off a cart, or an order without one.

use crate::app::App;
use crate::features::carts::{self, Owner};
use crate::features::coupons::{self, Code, Discount, Refusal, Wanted};
use crate::flows::place::{self, Item};
use crate::platform::error::Result;
use crate::platform::ids::{ProductId, UserId};
use crate::platform::money::{Amount, Overflow};
use crate::platform::text::Email;

/// What is asked.
#[derive(Debug)]
pub struct Request<'a> {
    /// The code, as it was typed.
    pub code: &'a str,
    /// What is to be ordered instead of the cart, checked with [`place::check_items`].
    pub items: Option<&'a [Item]>,
    /// Whose cart it is.
    pub owner: &'a Owner,
    /// His account, if he is signed in.
    pub user: Option<UserId>,
    /// The address that a guest gives.
    pub email: Option<&'a Email>,
}

/// What a coupon would do.
#[derive(Debug)]
pub struct Preview {
    /// The code, in upper case where it can be one.
    pub code: String,
    /// What the goods cost without it.
    pub subtotal: Amount,
    /// What it takes off them, or why nothing.
    pub outcome: Result<Discount, Refusal>,
}

/// Tries a coupon, by the shop's prices. It writes nothing.
///
/// # Errors
/// `Validation` of what is not for sale.
pub async fn preview(app: &App, request: &Request<'_>) -> Result<Preview> {
    let now = app.clock.now();
    let mut connection = app.db.acquire().await?;
    let goods: Vec<(ProductId, Amount)> = match request.items {
        Some(items) => place::prices(&mut connection, items, app.config.cart.max_quantity).await?,
        None => carts::open_cart_lines(&mut connection, request.owner, now)
            .await?
            .iter()
            .filter(|line| line.is_buyable())
            .map(|line| Ok((line.product_id, Amount(line.price_minor).times(line.quantity)?)))
            .collect::<Result<_, Overflow>>()?,
    };
    let subtotal = goods.iter().try_fold(Amount(0), |sum, (_, total)| sum.checked_add(*total))?;
    let refused = |code: String, refusal| Preview { code, subtotal, outcome: Err(refusal) };
    // What cannot be a code is none of this shop's.
    let Ok(code) = request.code.parse::<Code>() else {
        return Ok(refused(request.code.to_owned(), Refusal::Unknown));
    };
    let products: Vec<_> = goods.iter().map(|(product, _)| *product).collect();
    let wanted = Wanted { code: &code, user: request.user, email: request.email };
    let found = coupons::find(&mut connection, wanted, &products).await?;
    connection.done();
    let outcome = found.ok_or(Refusal::Unknown).and_then(|found| found.discount(&goods, now));
    Ok(Preview { code: code.to_string(), subtotal, outcome })
}
