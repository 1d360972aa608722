//! How deliveries are signed, and when they are tried again.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use chrono::TimeDelta;

/// The header of the signature: `t=<unix seconds>,v1=<hex>`, with one `v1` for each secret that is in force.
///
/// Each is HMAC-SHA256 over `<t>.<body>` under the bytes of the secret, as it was shown.
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a [u8]>, at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, secret));
        context.update(format!("{at}.").as_bytes());
        context.update(body.as_bytes());
        header.push_str(",v1=");
        header.push_str(&hex::encode(context.sign()));
    }
    header
}

/// How often a delivery is tried.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Tries in all.
    pub tries: i32,
    /// The wait after the first one. It is three times as long after each.
    pub first: TimeDelta,
    /// After so long without any success an address is turned off.
    pub patience: TimeDelta,
}

impl Retries {
    /// The wait after a try, none after the last. `jitter` is from 0 to 100 thousandths, by which it is longer, so that those
    /// that failed together do not come back together.
    pub fn wait(self, tried: i32, jitter: u8) -> Option<TimeDelta> {
        if tried >= self.tries {
            return None;
        }
        let power = 3_i64.saturating_pow(tried.saturating_sub(1).clamp(0, 20).unsigned_abs());
        // At most a month, whatever the settings say.
        let seconds = self.first.num_seconds().saturating_mul(power).min(30 * 24 * 60 * 60);
        Some(TimeDelta::seconds(seconds) + TimeDelta::milliseconds(seconds.saturating_mul(i64::from(jitter.min(100)))))
    }
}

/// What came of a try.
#[derive(Debug)]
pub struct Attempt {
    /// The status that was answered, if anything was.
    pub status: Option<u16>,
    /// The beginning of what was answered.
    pub response: Option<String>,
    /// Why nothing was answered.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i32,
}

impl Attempt {
    /// Whether the address has taken it.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the address says that it wants no more.
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    /// What went wrong, in words.
    pub fn fault(&self) -> Option<String> {
        match (self.status, &self.error) {
            (_, Some(error)) => Some(error.clone()),
            (Some(status), None) if !self.is_success() => Some(format!("the server answers {status}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_fill_a_day() {
        let retries = Retries { tries: 8, first: TimeDelta::seconds(80), patience: TimeDelta::days(3) };
        let waits: Vec<_> = (1..=8).map(|tried| retries.wait(tried, 0)).collect();
        assert_eq!((waits[0], waits[1]), (Some(TimeDelta::seconds(80)), Some(TimeDelta::seconds(240))));
        assert_eq!(waits[7], None);
        let hours = waits.into_iter().flatten().sum::<TimeDelta>().num_hours();
        assert_eq!(hours, 24);
        assert_eq!(retries.wait(1, 100), Some(TimeDelta::seconds(88)));
        let endless = Retries { tries: i32::MAX, ..retries };
        assert_eq!(endless.wait(i32::MAX - 1, 0), Some(TimeDelta::days(30)));
    }

    #[test]
    fn each_secret_in_force_signs() {
        let both = sign([&b"new"[..], b"old"], 1_700_000_000, "{}");
        let new = sign([&b"new"[..]], 1_700_000_000, "{}");
        let old = sign([&b"old"[..]], 1_700_000_000, "{}");
        assert_eq!(both, format!("{new}{}", old.strip_prefix("t=1700000000").unwrap()));
        assert_ne!(new, sign([&b"new"[..]], 1_700_000_001, "{}"));
    }
}
