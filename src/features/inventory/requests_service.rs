//! Requests to hear when something is back.

use super::store::requests;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{ProductId, UserId, VariantId};
use crate::platform::text::Email;

/// Variants that one address can wait for. It bounds the mails that somebody can have sent to another's address.
const MAX_WAITING: i64 = 20;

/// What a sealed address is for, so that no other sealed text passes for one.
const PURPOSE: &[u8] = b"back in stock";

/// Notes that an address wants to hear when a variant is back. The answer is the same whether it did already.
///
/// # Errors
/// `NotFound`; `Validation` when the product has several variants and none is named; `Conflict` when there is something to
/// buy, or the address waits for too many.
pub(super) async fn ask(
    app: &App,
    product: ProductId,
    variant: Option<VariantId>,
    email: &Email,
    user: Option<UserId>,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let variants = requests::variants_for_sale(&mut tx, product, variant).await?;
    let asked = match variants.as_slice() {
        [] => return Err(Error::NotFound("The product")),
        [asked] => asked,
        _ => return Err(Error::field("variantId", "is required, because the product has several variants")),
    };
    if asked.available > 0 {
        return Err(Error::conflict("This can be bought now: put it into the cart."));
    }
    if !requests::add(&mut tx, asked.variant_id, email.as_str(), user, MAX_WAITING, app.clock.now()).await? {
        return Err(Error::conflict(format!(
            "This address waits for {MAX_WAITING} products already. The next mail we send has a link to take that back."
        )));
    }
    tx.commit().await
}

/// The link that takes back all requests of an address. It names the address and proves itself, so that nothing is stored
/// for it, and works as long as its key.
///
/// # Errors
/// `Internal` when the address cannot be sealed.
pub fn stop_link(app: &App, email: &str) -> Result<String> {
    let token = hex::encode(app.vault.seal(PURPOSE, email.as_bytes())?);
    Ok(format!("{}{}?token={token}", app.config.public_url(), super::pages::STOP))
}

/// The address of a link.
pub(super) fn address_of(app: &App, token: &str) -> Option<String> {
    let sealed = hex::decode(token).ok()?;
    String::from_utf8(app.vault.open(PURPOSE, &sealed).ok()?).ok()
}

/// Takes back all requests of the address that the link names. False when it is none of ours.
///
/// # Errors
/// The database's.
pub(super) async fn stop(app: &App, token: &str) -> Result<bool> {
    let Some(email) = address_of(app, token) else { return Ok(false) };
    requests::forget_address(&mut *app.db.acquire().await?, &email).await?;
    Ok(true)
}
