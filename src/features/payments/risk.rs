//! The rules against fraud: what is known of an attempt to pay, and what is odd about it. Pure arithmetic; docs/fraud.md tells it
//! to people.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::config::{Fraud, Limit};
use crate::platform::format::money;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One payment is large.
    PaymentLimit,
    /// So is what one buyer pays within an hour.
    HourLimit,
    /// So is what he pays within a day.
    DayLimit,
    /// He starts many payments within an hour.
    Attempts,
    /// Many of his payments were refused within a day.
    Failures,
    /// A guest, or an account that was just opened, pays much.
    NewAccount,
    /// Many buyers pay from one address.
    SharedAddress,
    /// The card is of another country than the order goes to.
    CardCountry,
    /// The buyer's e-mail is one that is thrown away.
    DisposableEmail,
}

/// A rule that was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RiskFinding)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// What it adds to the score.
    pub weight: i32,
    /// What was found, in words for the staff.
    #[schema(example = "7 payments were started within an hour")]
    pub reason: String,
}

/// What an attempt to pay is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What is to be paid, in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: &'a str,
    /// The buyer's address.
    pub email: &'a str,
    /// The country that the order goes to.
    pub country: Option<&'a str>,
    /// That of the card, once it is known.
    pub card_country: Option<&'a str>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What else is known, this attempt left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// When the buyer's account was opened; none for a guest.
    pub account_since: Option<DateTime<Utc>>,
    /// What he has paid within the last hour, in minor units of the attempt's currency.
    pub hour_paid_minor: i64,
    /// And within the last day.
    pub day_paid_minor: i64,
    /// Payments that he has started within the last hour.
    pub hour_attempts: i64,
    /// Those of the last day that were refused.
    pub day_failures: i64,
    /// Other buyers who have paid from the same address.
    pub other_buyers: i64,
}

/// Which rules an attempt meets.
pub fn findings(config: &Fraud, subject: &Subject<'_>, facts: &Facts) -> Vec<Finding> {
    let Subject { amount_minor, currency, .. } = *subject;
    let above = |limits: &[Limit], minor: i64, what: &str| {
        let limit = Limit::of(limits, currency).filter(|limit| minor > *limit)?;
        Some(format!("{what} {}, more than {}", money(minor, currency), money(limit, currency)))
    };
    let hits: [(Rule, i32, Option<String>); 9] = [
        (Rule::PaymentLimit, config.payment_weight, above(&config.payment_limits_minor, amount_minor, "It is of")),
        (
            Rule::HourLimit,
            config.hour_weight,
            above(
                &config.hour_limits_minor,
                facts.hour_paid_minor.saturating_add(amount_minor),
                "With it the buyer pays within an hour",
            ),
        ),
        (
            Rule::DayLimit,
            config.day_weight,
            above(
                &config.day_limits_minor,
                facts.day_paid_minor.saturating_add(amount_minor),
                "With it the buyer pays within a day",
            ),
        ),
        (Rule::Attempts, config.attempts_weight, {
            let attempts = facts.hour_attempts + 1;
            (attempts > config.hour_attempts).then(|| format!("{attempts} payments were started within an hour"))
        }),
        (
            Rule::Failures,
            config.failures_weight,
            (facts.day_failures > config.day_failures)
                .then(|| format!("{} payments were refused within a day", facts.day_failures)),
        ),
        (Rule::NewAccount, config.new_account_weight, new_account(config, subject, facts)),
        (Rule::SharedAddress, config.ip_weight, {
            let buyers = facts.other_buyers + 1;
            (buyers > config.ip_buyers)
                .then(|| format!("{buyers} buyers pay from one address within {} hours", config.ip_hours))
        }),
        (Rule::CardCountry, config.card_country_weight, card_country(subject)),
        (Rule::DisposableEmail, config.disposable_weight, disposable(config, subject.email)),
    ];
    let met = hits.into_iter().filter(|(_, weight, _)| *weight > 0);
    met.filter_map(|(rule, weight, reason)| reason.map(|reason| Finding { rule, weight, reason })).collect()
}

/// The sum of the weights.
pub fn score(findings: &[Finding]) -> i32 {
    findings.iter().map(|finding| finding.weight).sum()
}

fn new_account(config: &Fraud, subject: &Subject<'_>, facts: &Facts) -> Option<String> {
    let Subject { amount_minor, currency, now, .. } = *subject;
    Limit::of(&config.new_account_limits_minor, currency).filter(|limit| amount_minor > *limit)?;
    let sum = money(amount_minor, currency);
    match facts.account_since {
        None => Some(format!("A guest pays {sum}")),
        Some(since) if now - since < TimeDelta::days(config.new_account_days) => {
            Some(format!("An account of {} days pays {sum}", (now - since).num_days().max(0)))
        }
        Some(_) => None,
    }
}

fn card_country(subject: &Subject<'_>) -> Option<String> {
    let (card, order) = (subject.card_country?.trim(), subject.country?);
    (!card.is_empty() && !card.eq_ignore_ascii_case(order))
        .then(|| format!("The card is of {}, and the order goes to {order}", card.to_ascii_uppercase()))
}

fn disposable(config: &Fraud, email: &str) -> Option<String> {
    let (_, domain) = email.rsplit_once('@')?;
    let domain = domain.to_lowercase();
    let is_one = |known: &String| {
        let known = known.to_lowercase();
        domain.strip_suffix(&known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    config.disposable_domains.iter().any(is_one).then(|| format!("Addresses at {domain} are thrown away"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    fn config() -> Fraud {
        Config::defaults().unwrap().fraud
    }

    fn now() -> DateTime<Utc> {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    fn subject(amount_minor: i64) -> Subject<'static> {
        Subject {
            amount_minor,
            currency: "NGN",
            email: "ama@example.com",
            country: Some("NG"),
            card_country: None,
            now: now(),
        }
    }

    fn old() -> Facts {
        Facts { account_since: Some(now() - TimeDelta::days(400)), ..Facts::default() }
    }

    fn rules(subject: &Subject<'_>, facts: &Facts) -> Vec<Rule> {
        findings(&config(), subject, facts).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn an_ordinary_order_meets_no_rule_and_one_rule_holds_nothing() {
        assert!(rules(&subject(5_000_000), &old()).is_empty());
        assert!(rules(&subject(5_000_000), &Facts::default()).is_empty(), "a guest's neither");
        let config = config();
        let weights = [
            config.payment_weight,
            config.hour_weight,
            config.day_weight,
            config.attempts_weight,
            config.failures_weight,
            config.new_account_weight,
            config.ip_weight,
            config.card_country_weight,
            config.disposable_weight,
        ];
        assert!(weights.iter().all(|weight| (1..config.review_score).contains(weight)));
    }

    #[test]
    fn each_rule_begins_behind_its_threshold() {
        let cases: [(Subject<'_>, Facts, &[Rule]); 16] = [
            (subject(100_000_000), old(), &[]),
            (subject(100_000_001), old(), &[Rule::PaymentLimit]),
            (subject(1), Facts { hour_paid_minor: 149_999_999, ..old() }, &[]),
            (subject(1), Facts { hour_paid_minor: 150_000_000, ..old() }, &[Rule::HourLimit]),
            (subject(1), Facts { day_paid_minor: 300_000_000, ..old() }, &[Rule::DayLimit]),
            (subject(1), Facts { hour_attempts: 5, ..old() }, &[]),
            (subject(1), Facts { hour_attempts: 6, ..old() }, &[Rule::Attempts]),
            (subject(1), Facts { day_failures: 4, ..old() }, &[]),
            (subject(1), Facts { day_failures: 5, ..old() }, &[Rule::Failures]),
            (subject(50_000_001), Facts::default(), &[Rule::NewAccount]),
            (subject(50_000_001), Facts { account_since: Some(now() - TimeDelta::days(3)), ..Facts::default() }, &[]),
            (subject(1), Facts { other_buyers: 11, ..old() }, &[]),
            (subject(1), Facts { other_buyers: 12, ..old() }, &[Rule::SharedAddress]),
            (Subject { card_country: Some("ng"), ..subject(1) }, old(), &[]),
            (Subject { card_country: Some("US"), ..subject(1) }, old(), &[Rule::CardCountry]),
            (Subject { email: "x@eu.Mailinator.com", ..subject(1) }, old(), &[Rule::DisposableEmail]),
        ];
        for (subject, facts, met) in cases {
            assert_eq!(rules(&subject, &facts), met, "{subject:?} {facts:?}");
        }
        // Nothing is known: nothing is met. A name that only ends alike is another one.
        for odd in [
            Subject { currency: "USD", ..subject(i64::MAX) },
            Subject { card_country: Some(" "), ..subject(1) },
            Subject { card_country: Some("US"), country: None, ..subject(1) },
            Subject { email: "x@notmailinator.com", ..subject(1) },
        ] {
            assert!(rules(&odd, &old()).is_empty(), "{odd:?}");
        }
    }

    #[test]
    fn a_rule_without_weight_is_off_and_sums_do_not_overflow() {
        let mut config = config();
        config.payment_weight = 0;
        let facts = Facts { hour_paid_minor: i64::MAX, day_paid_minor: i64::MAX, ..old() };
        let found = findings(&config, &subject(100_000_001), &facts);
        assert_eq!(found.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [Rule::HourLimit, Rule::DayLimit]);
        assert_eq!(score(&found), config.hour_weight + config.day_weight);
    }
}
