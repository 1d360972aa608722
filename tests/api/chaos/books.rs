//! The calm after the storm: what is still open is followed to its end, and then the books of the shop and of the provider are
//! compared.

use std::collections::BTreeMap;

use agape::flows::sweep_payments::SweepPayments;
use agape::platform::jobs::Job;
use paystack::{ListRefunds, ListTransactions, RefundStatus, Transaction, TransactionStatus};

use crate::concurrency::assert_ledger;
use crate::support::TestApp;

/// All that the provider lists, page by page.
pub(super) async fn transactions(client: &paystack::Client) -> Vec<Transaction> {
    let mut all = Vec::new();
    for page in 1.. {
        let list = ListTransactions { page: Some(page), per_page: Some(100), ..ListTransactions::default() };
        let found = client.list(&list).await.unwrap().items;
        if found.is_empty() {
            break;
        }
        all.extend(found);
    }
    all
}

/// What the provider has given back of each transaction, or is about to.
async fn given_back(client: &paystack::Client) -> BTreeMap<u64, i64> {
    let mut sums = BTreeMap::new();
    for page in 1.. {
        let list = ListRefunds { page: Some(page), per_page: Some(100), ..ListRefunds::default() };
        let found = client.list_refunds(&list).await.unwrap().items;
        if found.is_empty() {
            break;
        }
        for refund in found.iter().filter(|refund| refund.status != RefundStatus::Failed) {
            *sums.entry(refund.transaction.unwrap()).or_default() += refund.amount;
        }
    }
    sums
}

pub(super) fn is_paid(transaction: &Transaction) -> bool {
    matches!(transaction.status, TransactionStatus::Success | TransactionStatus::Reversed)
}

/// Asks about all attempts that are due.
pub(super) async fn look_at_attempts(shop: &TestApp) {
    shop.wait_for("the attempts to be asked about", || async {
        SweepPayments {}.run(&shop.app).await.unwrap();
        let due = "select count(*) from payments where next_look_at <= $1 and provider = 'paystack'
                   and status in ('created', 'open', 'failed', 'abandoned')";
        let due: i64 = sqlx::query_scalar(due).bind(shop.app.clock.now()).fetch_one(&shop.database.pool).await.unwrap();
        (due == 0).then_some(())
    })
    .await;
}

/// Waits until no job is left. One that failed in the storm may have long to wait for its next try, which it does not here.
pub(super) async fn wait_for_jobs(shop: &TestApp) {
    shop.wait_for("the jobs", || async {
        let hurry = "update river_job set scheduled_at = now() + interval '500 milliseconds'
                     where state = 'retryable' and scheduled_at > now() + interval '500 milliseconds'";
        sqlx::query(hurry).execute(&shop.database.pool).await.unwrap();
        let open = "select count(*) from river_job where state in ('available', 'running', 'retryable')";
        (shop.database.count(open).await == 0).then_some(())
    })
    .await;
}

pub(super) async fn assert_money(shop: &TestApp) {
    let back = given_back(&shop.app.paystack).await;
    let mut received = 0;
    for transaction in transactions(&shop.app.paystack).await {
        let (status, paid, refunded): (String, i64, i64) =
            sqlx::query_as("select status, paid_minor, refunded_minor from payments where reference = $1")
                .bind(&transaction.reference)
                .fetch_one(&shop.database.pool)
                .await
                .unwrap();
        let is_ours = is_paid(&transaction) && transaction.domain == paystack::Domain::Test;
        let is_known = matches!(status.as_str(), "success" | "flagged");
        assert_eq!(is_ours, is_known, "{} is {status} here: {transaction:?}", transaction.reference);
        let taken = if is_ours { transaction.amount } else { 0 };
        assert_eq!(paid, taken, "{transaction:?}");
        let back = back.get(&transaction.id).copied().unwrap_or_default();
        assert_eq!(back, refunded, "what went back of {}", transaction.reference);
        received += taken;
    }
    assert!(received > 0);
    let count = |sql: &'static str| shop.database.count(sql);
    assert_eq!(count("select sum(paid_minor)::bigint from payments").await, received);
    // What orders keep, what goes back, and what waits for a decision is all of it.
    let kept = "select coalesce(sum(p.paid_minor - p.refunded_minor), 0)::bigint from payments p join orders o on o.id = p.order_id
                where p.status = 'success' and o.paid_at is not null and o.status not in ('cancelled', 'refunded')";
    let back = "select coalesce(sum(r.amount_minor), 0)::bigint from refunds r where r.status <> 'failed'";
    let waiting = "select coalesce(sum(paid_minor - refunded_minor), 0)::bigint from payments where status = 'flagged'";
    assert_eq!(count(kept).await + count(back).await + count(waiting).await, received);
    for (fault, sql) in [
        (
            "orders without one receipt",
            "select count(*) from orders o where o.paid_at is not null and
               (select count(*) from emails m where m.order_id = o.id and m.kind = 'payment_receipt') <> 1",
        ),
        (
            "receipts without money",
            "select count(*) from emails m join orders o on o.id = m.order_id
             where m.kind = 'payment_receipt' and o.paid_at is null",
        ),
        (
            "orders that were paid twice or not in full",
            "select count(*) from orders o where o.paid_at is not null and
               (select count(*) from payments p where p.order_id = o.id and p.status = 'success'
                and p.paid_minor >= o.total_minor) <> 1",
        ),
        (
            "orders that wait for ever",
            "select count(*) from orders o where o.status in ('pending_payment', 'payment_failed') and
               not exists (select from payments p where p.order_id = o.id and p.status = 'flagged')",
        ),
        (
            "attempts that are open for ever",
            "select count(*) from payments where status in ('created', 'open')
            and order_id not in (select order_id from payments where status = 'flagged')",
        ),
        (
            "webhooks that nobody worked on",
            "select count(*) from webhook_events where status in ('received', 'failed')",
        ),
    ] {
        assert_eq!(count(sql).await, 0, "{fault}");
    }
}

pub(super) async fn assert_stock(shop: &TestApp) {
    assert_ledger(shop).await;
    let held = "select coalesce(sum(r.quantity), 0)::bigint from reservations r where r.status = 'held'
                and not exists (select from payments p where p.order_id = r.order_id and p.status = 'flagged')";
    assert_eq!(shop.database.count(held).await, 0, "an order holds goods that it will not get");
    let sold = "select coalesce(sum(i.quantity), 0)::bigint from order_items i join orders o on o.id = i.order_id
                where o.paid_at is not null and o.status not in ('cancelled', 'refunded')";
    let left = "select sum(on_hand)::bigint from stock_levels";
    let all: i64 = super::STOCK.iter().sum();
    assert_eq!(shop.database.count(left).await, all - shop.database.count(sold).await);
}
