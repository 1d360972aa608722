//! Erasing a person. What books and tax law want stays, without the person.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::features::audit;
use crate::features::auth::{self, Identity};
use crate::features::orders::{Actor, LockedOrder, Status};
use crate::features::{
    addresses, carts, coupons, disputes, inventory, invoices, notifications, orders, payments, webhooks, wishlists,
};
use crate::flows::cancel;
use crate::platform::error::{Error, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::idempotency;
use crate::platform::ids::UserId;

/// A person erases himself.
///
/// # Errors
/// `Validation` of `password` or `code`; `Conflict` while an order is on its way, and for the last administrator.
pub async fn erase_own(
    app: &App,
    identity: &Identity,
    password: &str,
    code: Option<&str>,
    meta: &RequestMeta,
) -> Result<()> {
    auth::confirm(app, identity, password, code, meta).await?;
    // Where the request came from is personal too.
    let meta = RequestMeta { ip: None, user_agent: None, request_id: meta.request_id.clone() };
    erase(app, identity.user_id, Some(identity), &meta, None).await
}

/// What the clean-up takes for a person whom nobody needs any more: not proven or not seen before these times.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// For an address that was never proven; none keeps it.
    pub unverified_before: Option<DateTime<Utc>>,
    /// For everybody; none keeps them.
    pub unseen_before: Option<DateTime<Utc>>,
}

/// Erases a person, in one transaction. With `idle`, only one who still is, and has ordered nothing.
///
/// # Errors
/// `NotFound`; `Conflict` as [`erase_own`].
pub async fn erase(
    app: &App,
    id: UserId,
    actor: Option<&Identity>,
    meta: &RequestMeta,
    idle: Option<Idle>,
) -> Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    auth::refuse_last_admin(&mut tx, id).await?;
    let person = auth::lock_person(&mut tx, id).await?.ok_or(Error::NotFound("The account"))?;
    // What was done under an address may be another person's until its owner is proven.
    let guest = person.owner_proven.then_some(person.email.as_str());
    let orders = orders::lock_of_person(&mut tx, id, guest).await?;
    if let Some(Idle { unverified_before, unseen_before }) = idle {
        // He may have come back, or bought something, since he was listed.
        let still = auth::is_forgettable(&mut tx, id, unverified_before, unseen_before).await?;
        if !still || !orders.is_empty() {
            return Ok(());
        }
    }
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let unsettled = payments::unsettled_of(&mut tx, &ids).await?;
    // Money on its way back is among the unsettled; of the goods the status says nothing.
    let sent = orders::nothing_left_to_send(&mut tx, &ids).await?;
    let is_open = |order: &&LockedOrder| {
        let is_under_way = is_under_way(order.status) && !sent.contains(&order.id);
        is_under_way || order.is_owed() || unsettled.contains(&order.id)
    };
    let open: Vec<&str> = orders.iter().filter(is_open).map(|order| order.number.as_str()).collect();
    if !open.is_empty() {
        return Err(Error::conflict(format!(
            "Your order {} is still under way. Ask again once it has arrived, or write to the shop.",
            open.join(", ")
        )));
    }
    // All at once and in one order, as a placing locks them.
    coupons::lock_coupons_of(&mut tx, &ids).await?;
    inventory::lock_levels_of(&mut tx, &ids).await?;
    let mut products = Vec::new();
    for order in orders.iter().filter(|order| order.status.awaits_payment()) {
        cancel::close(&mut tx, order, "cancelled", (Actor::Customer, Some(id)), None, now).await?;
        products.extend(inventory::products_of_order(&mut tx, order.id).await?);
    }
    let references = payments::erase_answers(&mut tx, &ids, now).await?;
    webhooks::erase_bodies(&mut tx, &references).await?;
    disputes::erase(&mut tx, &ids).await?;
    invoices::forget_documents(app, &mut tx, &ids, now).await?;
    orders::pseudonymise(&mut tx, &ids, now).await?;
    coupons::erase(&mut tx, &ids).await?;
    // Before the mails: one that is being written for a request is there once the request is gone.
    inventory::erase_requests(&mut tx, id, guest).await?;
    notifications::erase(&mut tx, id, guest, &ids).await?;
    let callers: Vec<_> = [Some(id.to_string()), guest.map(|email| format!("guest {email}"))]
        .into_iter()
        .flatten()
        .chain(ids.iter().map(|id| orders::caller_about(*id)))
        .collect();
    idempotency::erase(&mut tx, &callers).await?;
    carts::erase(&mut tx, id).await?;
    wishlists::erase(&mut tx, id).await?;
    addresses::erase(&mut tx, id).await?;
    audit::erase_subject(&mut tx, id).await?;
    let sessions = auth::end_sessions(&mut tx, id, now).await?;
    if orders.iter().any(|order| order.user_id == Some(id)) {
        auth::pseudonymise_user(&mut tx, id, now).await?;
    } else {
        // An order that came while this was under way keeps the account: a foreign key says so.
        auth::delete_user(&mut tx, id).await.map_err(|error| match violated_constraint(&error) {
            Some(_) => Error::conflict("Something was ordered from this account just now. Ask again in a minute."),
            None => error.into(),
        })?;
    }
    let entry = audit::Entry {
        actor,
        action: "user.erase",
        entity: "user",
        entity_id: Some(id.to_string()),
        before: None,
        after: None,
    };
    audit::record(&mut tx, entry, meta, now).await?;
    tx.commit().await?;
    app.waker.wake();
    app.live_sessions.forget(&sessions).await;
    app.product_cache.forget(&products).await;
    metrics::counter!("agape_accounts_erased_total").increment(1);
    Ok(())
}

/// Whether somebody still needs to know where an order goes.
fn is_under_way(status: Status) -> bool {
    matches!(
        status,
        Status::Paid | Status::Processing | Status::Shipped | Status::PartiallyRefunded | Status::ReturnRequested
    )
}
