//! SQL of what the provider lists, beside our payments.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::payments::PaymentStatus;
use crate::features::reconciliation::model::{Ours, Theirs};
use crate::platform::ids::{PaymentId, ReconciliationId};

/// A transaction of the provider.
#[derive(Clone, Debug)]
pub struct Item {
    /// The provider's number.
    pub transaction_id: i64,
    /// Under which it was begun.
    pub reference: String,
    /// What it says.
    pub theirs: Theirs,
    /// The provider's charge, in minor units.
    pub fees_minor: Option<i64>,
}

/// Keeps transactions for a run. One that is there already, as it moved from one page to another, is kept as it is now.
///
/// # Errors
/// The database's.
pub async fn insert_items(c: &mut PgConnection, run: ReconciliationId, items: &[Item]) -> sqlx::Result<()> {
    let texts = |text: fn(&Item) -> &str| items.iter().map(|item| text(item).to_owned()).collect::<Vec<_>>();
    let numbers = |number: fn(&Item) -> i64| items.iter().map(number).collect::<Vec<_>>();
    let fees: Vec<_> = items.iter().map(|item| item.fees_minor).collect();
    sqlx::query!(
        "insert into reconciliation_items (reconciliation_id, transaction_id, reference, status, domain, currency,
                                           amount_minor, fees_minor)
         select distinct on (id) $1::uuid, id, reference, status, domain, currency, amount, fees
         from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[]) with ordinality
           as i (id, reference, status, domain, currency, amount, fees, n)
         order by id, n desc
         on conflict (reconciliation_id, transaction_id) do update
         set status = excluded.status, amount_minor = excluded.amount_minor, fees_minor = excluded.fees_minor",
        run.0,
        &numbers(|item| item.transaction_id),
        &texts(|item| &item.reference),
        &texts(|item| &item.theirs.status),
        &texts(|item| &item.theirs.domain),
        &texts(|item| &item.theirs.currency),
        &numbers(|item| item.theirs.amount_minor),
        &fees as &[Option<i64>],
    )
    .execute(c)
    .await?;
    Ok(())
}

/// A refund of the provider.
#[derive(Clone, Copy, Debug)]
pub struct TheirRefund {
    /// The provider's number.
    pub id: i64,
    /// That of the transaction.
    pub transaction_id: i64,
    /// In minor units.
    pub amount_minor: i64,
}

/// Keeps refunds for a run, each once.
///
/// # Errors
/// The database's.
pub async fn insert_refunds(c: &mut PgConnection, run: ReconciliationId, refunds: &[TheirRefund]) -> sqlx::Result<()> {
    let numbers = |number: fn(&TheirRefund) -> i64| refunds.iter().map(number).collect::<Vec<_>>();
    sqlx::query!(
        "insert into reconciliation_refunds (reconciliation_id, refund_id, transaction_id, amount_minor)
         select $1::uuid, id, taken, amount
         from unnest($2::bigint[], $3::bigint[], $4::bigint[]) as r (id, taken, amount)
         on conflict do nothing",
        run.0,
        &numbers(|refund| refund.id),
        &numbers(|refund| refund.transaction_id),
        &numbers(|refund| refund.amount_minor),
    )
    .execute(c)
    .await?;
    Ok(())
}

/// How many transactions a run keeps.
///
/// # Errors
/// The database's.
pub async fn count_items(c: &mut PgConnection, run: ReconciliationId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from reconciliation_items where reconciliation_id = $1"#, run.0)
        .fetch_one(c)
        .await
}

/// Money of ours that the provider's list does not have.
#[derive(Clone, Debug)]
pub struct Unlisted {
    /// The payment.
    pub id: PaymentId,
    /// Our name for it at the provider.
    pub reference: String,
    /// What we have of it.
    pub ours: Ours,
}

/// Some of our payments of a time that have money, are not in the list, and are no finding of this run yet.
///
/// # Errors
/// The database's.
pub async fn unlisted(
    c: &mut PgConnection,
    run: ReconciliationId,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> sqlx::Result<Vec<Unlisted>> {
    let rows = sqlx::query!(
        r#"select id as "id: PaymentId", reference, status as "status: PaymentStatus", currency, paid_minor, refunded_minor
           from payments p
           where created_at >= $2 and created_at < $3 and status in ('success', 'flagged') and provider = 'paystack'
             and not exists (select from reconciliation_items i
                             where i.reconciliation_id = $1 and i.reference = p.reference)
             and not exists (select from reconciliation_hits h join reconciliation_findings f on f.id = h.finding_id
                             where h.reconciliation_id = $1 and f.kind = 'MISSING_IN_PAYSTACK' and f.reference = p.reference)
           order by created_at limit $4"#,
        run.0,
        from,
        until,
        limit,
    )
    .fetch_all(c)
    .await?;
    let unlisted = rows.into_iter().map(|row| Unlisted {
        id: row.id,
        reference: row.reference,
        ours: Ours {
            status: row.status,
            currency: row.currency,
            paid_minor: row.paid_minor,
            refunded_minor: row.refunded_minor,
            // Nobody asks for it of what the provider does not have.
            sent_back_minor: 0,
            has_unlisted: false,
        },
    });
    Ok(unlisted.collect())
}

/// A transaction with the payment of its reference.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What the provider has.
    pub item: Item,
    /// What we have.
    pub ours: Option<(PaymentId, Ours)>,
}

/// Transactions of a run behind one, in the order of their numbers. Refunds of both sides are compared by the provider's numbers of them:
/// ours were begun between the two times, and stand in the list if the provider has them. None where the list was not read, and they
/// are not compared.
///
/// # Errors
/// The database's.
pub async fn pairs(
    c: &mut PgConnection,
    run: ReconciliationId,
    (behind, limit): (i64, i64),
    listed: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> sqlx::Result<Vec<Pair>> {
    let rows = sqlx::query!(
        r#"select i.transaction_id, i.reference, i.status, i.domain, i.currency, i.amount_minor, i.fees_minor,
                  p.id as "payment_id?: PaymentId", p.status as "our_status?: PaymentStatus", p.currency as "our_currency?",
                  p.paid_minor as "paid_minor?", p.refunded_minor as "refunded_minor?",
                  (select coalesce(sum(t.amount_minor), 0)::bigint from reconciliation_refunds t
                   where t.reconciliation_id = $1 and t.transaction_id = i.transaction_id) as "their_refunded_minor!",
                  exists (select from reconciliation_refunds t
                          where t.reconciliation_id = $1 and t.transaction_id = i.transaction_id
                            and not exists (select from refunds r
                                            where r.provider_refund_id = t.refund_id and r.payment_id = p.id
                                              and r.amount_minor = t.amount_minor and r.status <> 'failed')) as "has_unheard!",
                  (select coalesce(sum(r.amount_minor), 0)::bigint from refunds r
                   where r.payment_id = p.id and r.status <> 'failed' and r.dispute_number is null
                     and r.provider_refund_id is not null) as "sent_back_minor!",
                  exists (select from refunds r
                          where r.payment_id = p.id and r.status <> 'failed' and r.dispute_number is null
                            and r.provider_refund_id is not null and coalesce(r.sent_at, r.created_at) >= $4
                            and coalesce(r.sent_at, r.created_at) < $5
                            and not exists (select from reconciliation_refunds t
                                            where t.reconciliation_id = $1 and t.refund_id = r.provider_refund_id))
                    as "has_unlisted!"
           from reconciliation_items i left join payments p on p.reference = i.reference
           where i.reconciliation_id = $1 and i.transaction_id > $2 order by i.transaction_id limit $3"#,
        run.0,
        behind,
        limit,
        listed.map(|(since, _)| since),
        listed.map(|(_, before)| before),
    )
    .fetch_all(c)
    .await?;
    let pairs = rows.into_iter().map(|row| Pair {
        item: Item {
            transaction_id: row.transaction_id,
            reference: row.reference,
            theirs: Theirs {
                status: row.status,
                domain: row.domain,
                currency: row.currency,
                amount_minor: row.amount_minor,
                refunded_minor: row.their_refunded_minor,
                has_unheard: listed.is_some() && row.has_unheard,
            },
            fees_minor: row.fees_minor,
        },
        ours: match (row.payment_id, row.our_status, row.our_currency, row.paid_minor, row.refunded_minor) {
            (Some(id), Some(status), Some(currency), Some(paid_minor), Some(refunded_minor)) => {
                let (sent_back_minor, has_unlisted) = (row.sent_back_minor, row.has_unlisted);
                Some((id, Ours { status, currency, paid_minor, refunded_minor, sent_back_minor, has_unlisted }))
            }
            _ => None,
        },
    });
    Ok(pairs.collect())
}

/// A payment that is not of the time of a run, and has refunds in the provider's list of which we did not hear.
#[derive(Clone, Debug)]
pub struct Older {
    /// The payment.
    pub id: PaymentId,
    /// Our name for it at the provider.
    pub reference: String,
    /// The provider's number.
    pub transaction_id: i64,
    /// What goes back of it at the provider, as far as we know, in minor units.
    pub their_refunded_minor: i64,
    /// What we have of it.
    pub ours: Ours,
}

/// Some of them that are no finding of the run yet.
///
/// # Errors
/// The database's.
pub async fn older(c: &mut PgConnection, run: ReconciliationId, limit: i64) -> sqlx::Result<Vec<Older>> {
    let rows = sqlx::query!(
        r#"with unheard as (
             select t.transaction_id, sum(t.amount_minor)::bigint as amount_minor from reconciliation_refunds t
             where t.reconciliation_id = $1
               and not exists (select from refunds r where r.provider_refund_id = t.refund_id)
               and not exists (select from reconciliation_items i
                               where i.reconciliation_id = $1 and i.transaction_id = t.transaction_id)
             group by t.transaction_id)
           select p.id as "id: PaymentId", p.reference, u.transaction_id as "transaction_id!", p.status as "status: PaymentStatus",
                  coalesce(p.paid_currency, p.currency) as "currency!", p.paid_minor, p.refunded_minor,
                  u.amount_minor as "unheard_minor!",
                  (select coalesce(sum(r.amount_minor), 0)::bigint from refunds r
                   where r.payment_id = p.id and r.status <> 'failed' and r.dispute_number is null
                     and r.provider_refund_id is not null) as "sent_back_minor!"
           from unheard u join payments p on p.provider_transaction_id = u.transaction_id
           where p.status in ('success', 'flagged') and p.provider = 'paystack'
             and not exists (select from reconciliation_hits h join reconciliation_findings f on f.id = h.finding_id
                             where h.reconciliation_id = $1 and f.kind = 'REFUND_MISMATCH' and f.reference = p.reference)
           order by p.id limit $2"#,
        run.0,
        limit,
    )
    .fetch_all(c)
    .await?;
    let older = rows.into_iter().map(|row| Older {
        id: row.id,
        reference: row.reference,
        transaction_id: row.transaction_id,
        their_refunded_minor: row.sent_back_minor + row.unheard_minor,
        ours: Ours {
            status: row.status,
            currency: row.currency,
            paid_minor: row.paid_minor,
            refunded_minor: row.refunded_minor,
            sent_back_minor: row.sent_back_minor,
            has_unlisted: false,
        },
    });
    Ok(older.collect())
}

/// Counts what both have in a run, for each currency: what the provider took, given back or not, and our money of the same references and that
/// which the provider does not know.
///
/// # Errors
/// The database's.
pub async fn sums(c: &mut PgConnection, run: ReconciliationId) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into reconciliation_sums (reconciliation_id, currency, their_count, their_minor, their_fees_minor, our_count,
                                          our_minor)
         select $1, currency, coalesce(sum(t), 0), coalesce(sum(minor) filter (where t = 1), 0)::bigint,
                coalesce(sum(fees), 0)::bigint, coalesce(sum(o), 0), coalesce(sum(minor) filter (where o = 1), 0)::bigint
         from (select currency, 1 as t, 0 as o, amount_minor as minor, fees_minor as fees
               from reconciliation_items where reconciliation_id = $1 and status in ('success', 'reversed')
               union all
               select p.currency, 0, 1, p.paid_minor, null from payments p
               where p.status in ('success', 'flagged')
                 and (p.reference in (select reference from reconciliation_items where reconciliation_id = $1)
                      or p.id in (select f.payment_id from reconciliation_hits h
                                  join reconciliation_findings f on f.id = h.finding_id
                                  where h.reconciliation_id = $1 and f.kind = 'MISSING_IN_PAYSTACK'))) both_sides
         group by currency
         on conflict (reconciliation_id, currency) do nothing",
        run.0,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Forgets what the provider listed: the findings and sums stay. One run is under way at a time, so all refunds that are kept are its
/// own, or those of a run that a server ended which does not know of them.
///
/// # Errors
/// The database's.
pub async fn forget_items(c: &mut PgConnection, run: ReconciliationId) -> sqlx::Result<()> {
    sqlx::query!(
        "with gone as (delete from reconciliation_refunds)
         delete from reconciliation_items where reconciliation_id = $1",
        run.0,
    )
    .execute(c)
    .await?;
    Ok(())
}
