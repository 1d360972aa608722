//! SQL of the shop's answers.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::features::disputes::model::Answer;
use crate::platform::ids::{DisputeId, UserId};

/// Stores what is about to be answered; the words are none where the buyer was erased. Nobody else answers before `until`.
///
/// # Errors
/// The database's.
pub async fn begin_answer(
    c: &mut PgConnection,
    id: DisputeId,
    (answer, message): (Answer, Option<&str>),
    actor: UserId,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<()> {
    sqlx::query!(
        "update disputes
         set answer = $2, answer_message = $3, answered_by = $4, answered_at = $5, answering_until = $6, version = version + 1,
             updated_at = $5
         where id = $1",
        id.0,
        answer as Answer,
        message,
        actor.0,
        now,
        until,
    )
    .execute(c)
    .await?;
    Ok(())
}

/// The answer was given, or at least tried; `refused`: the provider does not take it.
///
/// # Errors
/// The database's.
pub async fn end_answer(c: &mut PgConnection, id: DisputeId, refused: bool, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update disputes
         set answering_until = null, answer = case when $2 then null else answer end,
             answer_message = case when $2 then null else answer_message end,
             answered_by = case when $2 then null else answered_by end,
             answered_at = case when $2 then null else answered_at end, version = version + 1, updated_at = $3
         where id = $1",
        id.0,
        refused,
        now,
    )
    .execute(c)
    .await?;
    Ok(())
}
