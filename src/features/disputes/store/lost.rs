//! SQL of what disputes have taken.

use sqlx::PgConnection;

use crate::platform::ids::{DisputeId, OrderId, PaymentId};

/// What a dispute has taken.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The dispute.
    pub id: DisputeId,
    /// The provider's number of it.
    pub number: i64,
    /// What went back because of it, in minor units; 0 as long as it is not lost.
    pub lost_minor: i64,
    /// ISO 4217; none: that of the payment.
    pub currency: Option<String>,
}

/// What the dispute with this number of the provider's has taken.
///
/// # Errors
/// The database's.
pub async fn loss_by_number(c: &mut PgConnection, number: i64) -> sqlx::Result<Option<Loss>> {
    sqlx::query_as!(
        Loss,
        r#"select id as "id: DisputeId", provider_id as number, lost_minor, currency
           from disputes where provider_id = $1"#,
        number,
    )
    .fetch_optional(c)
    .await
}

/// What lost disputes have taken of a payment. Whoever has locked its order sees all of them.
///
/// # Errors
/// The database's.
pub async fn losses_of(c: &mut PgConnection, order: OrderId, payment: PaymentId) -> sqlx::Result<Vec<Loss>> {
    sqlx::query_as!(
        Loss,
        r#"select id as "id: DisputeId", provider_id as number, lost_minor, currency
           from disputes where order_id = $1 and payment_id = $2 and lost_minor > 0 order by id"#,
        order.0,
        payment.0,
    )
    .fetch_all(c)
    .await
}

/// A lost dispute of which less is written down as refunds than it took, and whose payment has something left of it.
#[derive(Clone, Copy, Debug)]
pub struct Unbooked {
    /// The provider's number of it.
    pub number: i64,
    /// The dispute.
    pub id: DisputeId,
    /// The order.
    pub order_id: OrderId,
    /// Its payment.
    pub payment_id: PaymentId,
}

/// Some of them behind one, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn unbooked(c: &mut PgConnection, behind: Option<DisputeId>, limit: i64) -> sqlx::Result<Vec<Unbooked>> {
    sqlx::query_as!(
        Unbooked,
        r#"select d.provider_id as number, d.id as "id: DisputeId", d.order_id as "order_id!: OrderId",
                  d.payment_id as "payment_id!: PaymentId"
           from disputes d
           where d.lost_minor > 0 and d.payment_id is not null and ($1::uuid is null or d.id > $1)
             and d.lost_minor > (select coalesce(sum(r.amount_minor), 0) from refunds r
                                 where r.dispute_number = d.provider_id and r.status <> 'failed')
             and exists (select from payments p
                         where p.id = d.payment_id and p.paid_minor > p.refunded_minor
                           and coalesce(d.currency, p.paid_currency, p.currency) = coalesce(p.paid_currency, p.currency))
           order by d.id limit $2"#,
        behind.map(|id| id.0),
        limit,
    )
    .fetch_all(c)
    .await
}
