//! Paid orders that wait for the staff.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::store::reviews::{self, Review, ReviewStatus};
use crate::app::App;
use crate::features::auth::Identity;
use crate::flows::review;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, PathId, Query, RequestMeta, ok};
use crate::platform::ids::PaymentId;
use crate::platform::page::{Pagination, PartQuery};
use crate::platform::text::Text;

/// A part of the queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReviewsData {
    reviews: Vec<Review>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReviewData {
    review: Review,
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichReviews {
    /// `pending` when left out; `approved` or `rejected`.
    status: Option<ReviewStatus>,
}

/// Why it is decided so.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecideReview {
    /// For the staff.
    #[schema(value_type = Option<String>, max_length = 1000)]
    note: Option<Text<0, 1000>>,
}

impl DecideReview {
    fn note(self) -> Option<String> {
        self.note.map(Text::into_string).filter(|note| !note.is_empty())
    }
}

/// List payment reviews
///
/// Paid orders that the rules against fraud let wait, with their scores and reasons; the oldest first.
#[utoipa::path(get, path = "/admin/reviews", tag = "Payments, staff", security(("bearer" = ["manage_payments"])),
    params(WhichReviews, PartQuery), responses(
    (status = 200, body = Envelope<ReviewsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn list_reviews(
    State(app): State<App>,
    Query(which): Query<WhichReviews>,
    Query(part): Query<PartQuery>,
) -> Answer<ReviewsData> {
    let part = part.check(&app.config.lists)?;
    let status = which.status.unwrap_or(ReviewStatus::Pending);
    let (reviews, next) = reviews::reviews(&mut *app.db.acquire().await?, status, part).await?;
    let pagination = Pagination::behind_cursor(part.page.limit, next.map(|id| id.to_string()));
    Ok(ok(ReviewsData { reviews }).page(pagination))
}

/// Approve a payment review
///
/// The order goes on.
#[utoipa::path(post, path = "/admin/reviews/{review}/approve", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("review" = PaymentId, Path)), request_body = DecideReview,
    responses(
    (status = 200, body = Envelope<ReviewData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is decided already"),
))]
pub(super) async fn approve_review(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<PaymentId>,
    body: Body<DecideReview>,
) -> Answer<ReviewData> {
    let review = review::approve(&app, &identity, &meta, id, body.value.note().as_deref()).await?;
    Ok(ok(ReviewData { review }))
}

/// Reject a payment review
///
/// The order is cancelled: its goods go back on the shelf and its money to the buyer, who is told that it was cancelled and no
/// more.
#[utoipa::path(post, path = "/admin/reviews/{review}/reject", tag = "Payments, staff",
    security(("bearer" = ["manage_payments"])), params(("review" = PaymentId, Path)), request_body = DecideReview,
    responses(
    (status = 200, body = Envelope<ReviewData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is decided already, or the order cannot be cancelled any more"),
))]
pub(super) async fn reject_review(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    PathId(id): PathId<PaymentId>,
    body: Body<DecideReview>,
) -> Answer<ReviewData> {
    let review = review::reject(&app, &identity, &meta, id, body.value.note().as_deref()).await?;
    Ok(ok(ReviewData { review }))
}
