//! Staff answer a dispute at the provider. It is looked first whether it still waits for an answer, then the answer is stored, and only
//! then it is sent: whoever repeats a request whose answer was lost answers nothing twice, and undoes no answer that has arrived.

use chrono::TimeDelta;
use paystack::{Resolution, ResolveDispute};
use serde_json::json;
use sqlx::PgConnection;

use super::disputes::refresh;
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::disputes::{self, Answer, Dispute, Status};
use crate::features::{orders, payments};
use crate::platform::error::{Error, Result};
use crate::platform::http::{RequestMeta, keyed};
use crate::platform::idempotency;
use crate::platform::ids::DisputeId;
use crate::platform::money::Amount;

/// How long nobody else answers: longer than a request may take.
const LEASE_SECONDS: i64 = 60;

/// What the shop answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Whether the money goes back.
    pub answer: Answer,
    /// Why, for the buyer's bank.
    pub message: String,
    /// What goes back, in minor units.
    pub refund_minor: Option<i64>,
    /// The name under which the provider keeps a proof; empty: none.
    pub uploaded_filename: String,
    /// The provider's number of evidence.
    pub evidence: Option<u64>,
}

/// Answers a dispute.
///
/// # Errors
/// `NotFound`; `Validation` of the amount; `Conflict` when it waits for no answer, when somebody else is answering it, or when the provider
/// does not take the answer; `External` when the provider does not answer: send the same request again.
pub async fn answer(app: &App, actor: &Identity, meta: &RequestMeta, id: DisputeId, reply: &Reply) -> Result<()> {
    let dispute = disputes::find(&mut *app.db.acquire().await?, id).await?;
    refresh(app, dispute.provider_id).await?;
    let Some(refund_minor) = begin(app, actor, meta, &dispute, reply).await? else { return Ok(()) };
    let sent = send(app, &dispute, reply, refund_minor).await;
    let has_it = !matches!(&sent, Err(Unsent::Refused(_) | Unsent::NotSent(_)));
    // Before anybody else may answer: he would be refused, and take this answer away.
    let seen = if sent.is_ok() { refresh(app, dispute.provider_id).await } else { Ok(()) };
    disputes::end_answer(&mut *app.db.acquire().await?, id, !has_it, app.clock.now()).await?;
    match sent {
        Ok(()) => seen,
        Err(Unsent::Refused(error) | Unsent::NotSent(error) | Unsent::Unknown(error)) => Err(error),
    }
}

/// A person's key of a request about a dispute, as one of its order's: what is kept under it goes with the buyer.
///
/// # Errors
/// `NotFound`.
pub async fn key_about(
    app: &App,
    id: DisputeId,
    key: Option<idempotency::Request>,
) -> Result<Option<idempotency::Request>> {
    let Some(key) = key else { return Ok(None) };
    let order = disputes::find(&mut *app.db.acquire().await?, id).await?.order_id;
    Ok(Some(match order {
        Some(order) => keyed::kept_under(orders::caller_about(order), key),
        None => key,
    }))
}

/// Why an answer may not be at the provider.
enum Unsent {
    /// The provider does not take it.
    Refused(Error),
    /// It has not left the house.
    NotSent(Error),
    /// Nobody knows whether it has arrived.
    Unknown(Error),
}

/// Stores what is about to be answered, on record. Gives what goes back, in minor units; none where this very answer was given already.
async fn begin(app: &App, actor: &Identity, meta: &RequestMeta, seen: &Dispute, reply: &Reply) -> Result<Option<i64>> {
    let (now, id) = (app.clock.now(), seen.id);
    let mut tx = app.db.begin().await?;
    // Before the dispute, as everybody locks them; whoever erases its buyer takes out the words that are here by then.
    let order = match seen.order_id {
        Some(order) => orders::lock(&mut tx, order).await?,
        None => None,
    };
    let dispute = disputes::lock(&mut tx, id).await?.ok_or(Error::NotFound("The dispute"))?;
    if dispute.status != Status::AwaitingMerchant {
        return match dispute.answer {
            Some(answer) if answer == reply.answer => Ok(None),
            Some(_) => Err(Error::conflict("This dispute was answered otherwise, and the provider has the answer.")),
            None => Err(Error::conflict("This dispute does not wait for an answer of the shop.")),
        };
    }
    if dispute.answering_until.is_some_and(|until| until > now) {
        return Err(Error::conflict("This dispute is being answered at this moment. Look at it again in a minute."));
    }
    let refund_minor = refund(&mut tx, &dispute, reply).await?;
    let until = now + TimeDelta::seconds(LEASE_SECONDS);
    let message = Some(reply.message.as_str()).filter(|_| order.is_none_or(|order| !order.is_erased()));
    disputes::begin_answer(&mut tx, id, (reply.answer, message), actor.user_id, (now, until)).await?;
    // The words may be about the buyer, and the log keeps them for ever.
    let after = json!({"answer": reply.answer, "refundAmount": Amount(refund_minor)});
    disputes::record(&mut tx, app, (actor, meta), ("dispute.answer", id), Some(after)).await?;
    tx.commit().await?;
    Ok(Some(refund_minor))
}

/// What goes back, in minor units.
async fn refund(tx: &mut PgConnection, dispute: &Dispute, reply: &Reply) -> Result<i64> {
    match (reply.answer, reply.refund_minor) {
        (Answer::Declined, None | Some(0)) => Ok(0),
        (Answer::Declined, Some(_)) => {
            Err(Error::field("refundAmount", "must be left out where the dispute is declined"))
        }
        (Answer::MerchantAccepted, None) => {
            Err(Error::field("refundAmount", "is needed where the dispute is accepted"))
        }
        (Answer::MerchantAccepted, Some(amount)) => {
            let at_stake = match (dispute.amount_minor, &dispute.reference) {
                (Some(amount), _) => Some(amount),
                (None, Some(reference)) => {
                    payments::find_by_reference(tx, reference).await?.map(|payment| payment.at_stake_minor())
                }
                (None, None) => None,
            };
            if amount <= 0 || at_stake.is_some_and(|at_stake| amount > at_stake) {
                let most = at_stake.map(|at_stake| format!(" and at most {}", Amount(at_stake))).unwrap_or_default();
                return Err(Error::field("refundAmount", format!("must be more than 0{most}")));
            }
            Ok(amount)
        }
    }
}

/// Gives the answer to the provider.
async fn send(app: &App, dispute: &Dispute, reply: &Reply, refund_minor: i64) -> Result<(), Unsent> {
    let request = ResolveDispute {
        resolution: match reply.answer {
            Answer::MerchantAccepted => Resolution::MerchantAccepted,
            Answer::Declined => Resolution::Declined,
        },
        message: reply.message.clone(),
        refund_amount: refund_minor,
        uploaded_filename: reply.uploaded_filename.clone(),
        evidence: reply.evidence,
    };
    let id = u64::try_from(dispute.provider_id).map_err(|error| Unsent::NotSent(Error::internal(error)))?;
    match app.paystack.resolve_dispute(id, &request).await {
        Ok(_) => Ok(()),
        Err(paystack::Error::Rejected { message, .. }) => {
            tracing::warn!(dispute = %dispute.id, message, "the provider does not take an answer");
            let words = format!("The payment provider does not take this answer: {message}");
            Err(Unsent::Refused(Error::conflict(words)))
        }
        Err(paystack::Error::NotFound) => {
            Err(Unsent::Refused(Error::conflict("The payment provider does not know this dispute.")))
        }
        Err(error) => {
            use paystack::Error::{CircuitOpen, RateLimited};
            let was_sent = !matches!(error, CircuitOpen { .. } | RateLimited { .. });
            let error = Error::External { service: "The payment provider", source: error.into() };
            Err(if was_sent { Unsent::Unknown(error) } else { Unsent::NotSent(error) })
        }
    }
}
