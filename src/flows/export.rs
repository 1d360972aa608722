//! All that the shop has about a person, for him to take away.

use serde_json::{Value, json};

use crate::app::App;
use crate::features::audit;
use crate::features::auth::{self, Identity};
use crate::features::{
    addresses, carts, coupons, disputes, inventory, notifications, orders, payments, privacy, wishlists,
};
use crate::limits;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;

/// Gathers it, on record.
///
/// # Errors
/// `RateLimited` after too many.
pub async fn export(app: &App, identity: &Identity, meta: &RequestMeta) -> Result<Value> {
    let (id, now) = (identity.user_id, app.clock.now());
    limits::check_account(app, &id.to_string()).await?;
    let mut tx = app.db.begin().await?;
    let person = auth::hold_person(&mut tx, id).await?.ok_or(Error::NotFound("The account"))?;
    // What was done under an address may be another person's until its owner is proven.
    let guest = person.owner_proven.then_some(person.email.as_str());
    let (ids, orders): (Vec<_>, Vec<_>) =
        orders::export(&mut tx, id, guest, &app.config.public_url()).await?.into_iter().unzip();
    let data = json!({
        "exportedAt": now,
        "account": auth::export(&mut tx, id).await?,
        "addresses": addresses::export(&mut tx, id).await?,
        "consents": privacy::export(&mut tx, id).await?,
        "guestOrdersIncluded": person.owner_proven,
        "orders": orders,
        "coupons": coupons::export(&mut tx, &ids).await?,
        "payments": payments::export(&mut tx, &ids).await?,
        "disputes": disputes::export(&mut tx, &ids).await?,
        "cart": carts::export(&mut tx, id).await?,
        "backInStockRequests": inventory::export_requests(&mut tx, id, guest).await?,
        "wishlist": wishlists::export(&mut tx, id).await?,
        "mails": notifications::export(&mut tx, id, guest).await?,
        "audit": audit::export(&mut tx, id).await?,
    });
    let entry = audit::Entry {
        actor: Some(identity),
        action: "user.export",
        entity: "user",
        entity_id: Some(id.to_string()),
        before: None,
        after: None,
    };
    audit::record(&mut tx, entry, meta, now).await?;
    tx.commit().await?;
    Ok(data)
}
