//! Reconciliations as staff see them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Kind, Step};
use super::store::findings::{FindingStatus, Listed, Sum};
use super::store::runs::Run;
use crate::platform::ids::{FindingId, PaymentId, ReconciliationId, UserId};
use crate::platform::money::Amount;

/// A comparison of the provider's list with our payments.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationView {
    /// Its id.
    pub id: ReconciliationId,
    /// The shop's day on which the clock ordered it; `null` where staff did.
    day: Option<NaiveDate>,
    /// Transactions that were begun from then
    from: DateTime<Utc>,
    /// to before then.
    until: DateTime<Utc>,
    /// `running`, `completed` or `failed`.
    status: String,
    /// What it does now, or did last.
    step: Step,
    /// Pages of the provider's list that are read.
    pages: i32,
    /// Pages of the list, as far as the provider says.
    page_count: Option<i32>,
    /// Why it was given up.
    failure: Option<String>,
    created_by: Option<UserId>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// What both sides add up to, for each currency; once it is completed.
    sums: Vec<Sum>,
    /// What it has found; on a single one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<CountView>>,
}

impl ReconciliationView {
    pub(super) fn new(run: Run, sums: Vec<Sum>, findings: Option<Vec<CountView>>) -> Self {
        Self {
            id: run.id,
            day: run.day,
            from: run.from_at,
            until: run.until_at,
            status: run.status,
            step: run.step,
            pages: run.pages,
            page_count: run.page_count,
            failure: run.failure,
            created_by: run.created_by,
            created_at: run.created_at,
            finished_at: run.finished_at,
            sums,
            findings,
        }
    }
}

/// How many findings of a kind there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountView {
    /// How they differ.
    pub(super) kind: Kind,
    /// So many.
    pub(super) count: i64,
    /// So many of them are open.
    pub(super) open: i64,
}

/// What one side has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SideView {
    /// Where it stands there.
    status: Option<String>,
    amount: Option<Amount>,
    currency: Option<String>,
}

/// A difference.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FindingView {
    id: FindingId,
    kind: Kind,
    /// The payment's name at the provider.
    reference: String,
    /// The provider's number.
    transaction_id: Option<i64>,
    payment_id: Option<PaymentId>,
    /// What the provider has; `null` where it has nothing.
    theirs: Option<SideView>,
    /// What we have; `null` where we have nothing.
    ours: Option<SideView>,
    status: FindingStatus,
    /// How it was mended, or what was written when it was resolved.
    note: Option<String>,
    resolved_by: Option<UserId>,
    /// When it was found first.
    found_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

impl From<Listed> for FindingView {
    fn from(found: Listed) -> Self {
        let side = |status: Option<String>, minor: Option<i64>, currency| {
            status.is_some().then(|| SideView { status, amount: minor.map(Amount), currency })
        };
        Self {
            id: found.id,
            kind: found.kind,
            reference: found.reference,
            transaction_id: found.transaction_id,
            payment_id: found.payment_id,
            theirs: side(found.their_status, found.their_amount_minor, found.their_currency),
            ours: side(found.our_status, found.our_amount_minor, found.our_currency),
            status: found.status,
            note: found.note,
            resolved_by: found.resolved_by,
            found_at: found.found_at,
            closed_at: found.closed_at,
        }
    }
}

/// Reconciliations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReconciliationsData {
    pub(super) reconciliations: Vec<ReconciliationView>,
}

/// One reconciliation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReconciliationData {
    /// With what it has found.
    pub(super) reconciliation: ReconciliationView,
}

/// Findings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FindingsData {
    pub(super) findings: Vec<FindingView>,
}

/// One finding.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FindingData {
    pub(super) finding: FindingView,
}
