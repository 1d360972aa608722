//! What a dispute is, and when staff hear of it again.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// The shop has to answer until it is due; unanswered, it is accepted.
    AwaitingMerchant,
    /// The buyer's bank has to answer.
    AwaitingBank,
    /// In progress.
    Pending,
    /// Over.
    Resolved,
    /// Over and put away.
    Archived,
    /// Something that this shop does not know; the provider's own page says what.
    Other,
}

impl Status {
    /// Whether nothing more happens to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Archived)
    }

    /// How far it is, to tell the newer of two words without a time.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::AwaitingMerchant => 1,
            Self::Pending => 2,
            Self::AwaitingBank => 3,
            Self::Resolved => 4,
            Self::Archived => 5,
        }
    }
}

/// How the shop answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub enum Answer {
    /// The money goes back.
    MerchantAccepted,
    /// The shop keeps the money, and says why.
    Declined,
}

/// What the provider says of a dispute at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: Status,
    /// How it ended, in the provider's word.
    pub resolution: Option<String>,
    /// What it is about, in the provider's word.
    pub category: Option<String>,
    /// What is asked back, in minor units.
    pub amount_minor: Option<i64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Until when the shop has to answer.
    pub due_at: Option<DateTime<Utc>>,
    /// When the provider changed it last.
    pub changed_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
}

impl State {
    /// Whether it is over and the money goes back.
    pub fn is_lost(&self) -> bool {
        self.status.is_over() && matches!(self.resolution.as_deref(), Some("merchant-accepted" | "auto-accepted"))
    }

    /// Whether it may follow what is known: what is over stays over, and only how it ended may still be told.
    pub fn may_follow(&self, known: Status, known_resolution: Option<&str>) -> bool {
        !known.is_over() || self.status.is_over() && known_resolution.is_none() && self.resolution.is_some()
    }

    /// Whether words that came by themselves are newer than what is known.
    pub fn is_newer_than(&self, known: Status, known_at: Option<DateTime<Utc>>) -> bool {
        if known.is_over() {
            return self.status.is_over();
        }
        match (self.changed_at, known_at) {
            (Some(now), Some(before)) if now != before => now > before,
            _ => self.status.rank() > known.rank(),
        }
    }
}

/// The smallest of these numbers of hours within which it is due, if it is within any, and not over the time.
pub fn threshold(due_at: DateTime<Utc>, now: DateTime<Utc>, hours: impl Iterator<Item = i32>) -> Option<i32> {
    let left = due_at - now;
    if left <= TimeDelta::zero() {
        return None;
    }
    hours.filter(|hours| left <= TimeDelta::hours(i64::from(*hours))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn state(status: Status, changed_at: Option<&str>) -> State {
        State {
            status,
            resolution: None,
            category: None,
            amount_minor: None,
            currency: None,
            due_at: None,
            changed_at: changed_at.map(at),
            resolved_at: None,
        }
    }

    #[test]
    fn late_words_change_nothing() {
        use Status::{AwaitingBank, AwaitingMerchant, Resolved};
        let (early, late) = ("2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z");
        assert!(state(AwaitingMerchant, Some(late)).is_newer_than(AwaitingBank, Some(at(early))));
        assert!(!state(AwaitingBank, Some(early)).is_newer_than(AwaitingMerchant, Some(at(late))));
        assert!(!state(AwaitingMerchant, Some(late)).is_newer_than(Resolved, Some(at(early))));
        // Without times, what is farther wins.
        assert!(state(Resolved, None).is_newer_than(AwaitingMerchant, Some(at(late))));
        assert!(!state(AwaitingMerchant, None).is_newer_than(AwaitingBank, None));
        assert!(!state(AwaitingMerchant, Some(late)).is_newer_than(AwaitingMerchant, Some(at(late))));
    }

    #[test]
    fn what_is_over_stays_over() {
        let lost = State { resolution: Some("auto-accepted".into()), ..state(Status::Resolved, None) };
        assert!(lost.may_follow(Status::AwaitingBank, None) && lost.may_follow(Status::Resolved, None));
        assert!(!lost.may_follow(Status::Resolved, Some("declined")));
        assert!(!state(Status::Resolved, None).may_follow(Status::Resolved, None));
        assert!(!State { status: Status::Pending, ..lost }.may_follow(Status::Resolved, None));
    }

    #[test]
    fn a_threshold_is_the_nearest_one_that_is_reached() {
        let due = at("2026-11-28T12:00:00Z");
        let hours = |now: &str| threshold(due, at(now), [24, 4].into_iter());
        assert_eq!(hours("2026-11-27T11:59:59Z"), None);
        assert_eq!(hours("2026-11-27T12:00:00Z"), Some(24));
        assert_eq!(hours("2026-11-28T08:00:00Z"), Some(4));
        assert_eq!(hours("2026-11-28T12:00:00Z"), None);
    }
}
