//! Looks at attempts to pay with the provider by the rules against fraud: when they start, and when their money has come, as the
//! card is known then. Money that staff have seen come themselves is not looked at.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::finance_mail;
use crate::app::App;
use crate::features::notifications::Mail;
use crate::features::orders::{self, Actor, LockedOrder};
use crate::features::payments::{self, Looked, Payment, ReviewStatus, Subject};
use crate::platform::error::Result;
use crate::platform::ids::PaymentId;
use crate::platform::jobs::{self, Job, JobError};

/// Keeps what is odd about an attempt that starts, and where it comes from, for those that follow.
pub(super) async fn look_at_start(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    ip: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    let looked = Looked { ip: ip.and_then(|ip| ip_mark(app, ip)), ..looked(app, order, payment, now) };
    // Those that start at once count each other too.
    payments::lock_payer(tx, &looked.customer).await?;
    let (facts, _) = payments::facts(tx, &looked, &payment.currency).await?;
    let found = payments::findings(&app.config.fraud, &subject(order, payment, None, now), &facts);
    payments::keep_review(tx, &looked, order.id, &found, ReviewStatus::None).await?;
    Ok(())
}

/// Looks again at an attempt that has paid its order. From a score on, the order waits for the staff.
pub(super) async fn look_at_end(
    app: &App,
    tx: &mut PgConnection,
    order: &LockedOrder,
    payment: &Payment,
    card_country: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    let looked = looked(app, order, payment, now);
    payments::lock_payer(tx, &looked.customer).await?;
    let (facts, before) = payments::facts(tx, &looked, &payment.currency).await?;
    let mut found = payments::findings(&app.config.fraud, &subject(order, payment, card_country, now), &facts);
    // What was odd at the start stays so, even if its hour is over.
    let is_new = |rule| found.iter().all(|finding| finding.rule != rule);
    let only_before: Vec<_> = before.into_iter().filter(|finding| is_new(finding.rule)).collect();
    found.extend(only_before);
    let is_held = payments::score(&found) >= app.config.fraud.review_score;
    let status = if is_held { ReviewStatus::Pending } else { ReviewStatus::None };
    payments::keep_review(tx, &looked, order.id, &found, status).await?;
    if is_held {
        orders::hold(tx, order.id, now).await?;
        orders::record_event(tx, order.id, "review_pending", (Actor::System, None), None, now).await?;
        jobs::enqueue(tx, &TellOfReview { payment_id: payment.id }, app.config.jobs.max_attempts).await?;
        metrics::counter!("agape_payments_held_total").increment(1);
    }
    Ok(())
}

fn looked(app: &App, order: &LockedOrder, payment: &Payment, now: DateTime<Utc>) -> Looked {
    Looked {
        payment: payment.id,
        customer: app.vault.mark("payer", order.email.as_bytes()),
        ip: None,
        user: order.user_id,
        ip_hours: app.config.fraud.ip_hours,
        now,
    }
}

fn subject<'a>(
    order: &'a LockedOrder,
    payment: &'a Payment,
    card_country: Option<&'a str>,
    now: DateTime<Utc>,
) -> Subject<'a> {
    Subject {
        amount_minor: payment.amount_minor,
        currency: &payment.currency,
        email: &order.email,
        country: order.country.as_deref(),
        card_country,
        now,
    }
}

/// Of IPv6 the network of 64 bits counts, as whoever has one has all of its addresses.
fn ip_mark(app: &App, ip: &str) -> Option<[u8; 32]> {
    let mark = |bytes: &[u8]| app.vault.mark("payer's address", bytes);
    match ip.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(ip) => Some(mark(&ip.octets())),
        IpAddr::V6(ip) => Some(mark(ip.octets().get(..8)?)),
    }
}

/// Tells the staff, once, that a paid order waits for them.
#[derive(Debug, Serialize, Deserialize)]
pub struct TellOfReview {
    /// The payment that is on review.
    pub payment_id: PaymentId,
}

#[async_trait]
impl Job<App> for TellOfReview {
    const KIND: &'static str = "tell_of_review";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let mut tx = app.db.begin().await?;
        let review = payments::find_review(&mut tx, self.payment_id).await?;
        // Somebody was faster than the mail.
        let Some(review) = review.filter(|review| review.status == ReviewStatus::Pending) else { return Ok(()) };
        let mail = Mail::OrderOnReview {
            order_number: review.order_number,
            amount_minor: review.amount.0,
            currency: review.currency,
            score: review.score,
            reasons: review.reasons.0.into_iter().map(|finding| finding.reason).collect(),
        };
        let key = format!("order_on_review/{}", self.payment_id);
        finance_mail::send(app, &mut tx, &key, Some(review.order_id), &mail).await?;
        Ok(tx.commit().await?)
    }
}
