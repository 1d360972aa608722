//! Accounts, how often somebody may ask, and how long what is personal is kept.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Faults, is_key_or_empty, is_web, sections};

sections! {
    Auth {
        issuer: String, audience: String, private_key_file: String, access_token_minutes: i64,
        refresh_token_days: i64, refresh_grace_seconds: i64, lock_after_failures: i32, lock_minutes: i64,
        verification_hours: i64, verify_email_url: String, reset_minutes: i64, reset_password_url: String,
        hash_memory_kib: u32, hash_passes: u32, hash_concurrency: usize, hash_queue: usize,
        encryption_key: SecretString, previous_encryption_key: SecretString,
        challenge_minutes: i64, staff_two_factor: bool, session_check_seconds: u64,
    }
    Limits { public_per_minute: u32, auth_per_minute: u32, admin_per_minute: u32, clients: usize, }
    Privacy {
        unverified_account_days: i64, inactive_account_days: i64, ended_session_days: i64, mail_days: i64,
        visitor_consent_days: i64,
        audit_origin_days: i64,
    }
}

impl Auth {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            self.hash_memory_kib >= 8_192 && self.hash_passes >= 1,
            "auth.hash_memory_kib: must be at least 8192, with at least one pass",
        );
        for (key, secret) in [
            ("auth.encryption_key", &self.encryption_key),
            ("auth.previous_encryption_key", &self.previous_encryption_key),
        ] {
            faults.require(
                is_key_or_empty(secret.expose_secret()),
                &format!("{key}: must be 64 hexadecimal digits (openssl rand -hex 32)"),
            );
        }
        for (key, url) in
            [("auth.verify_email_url", &self.verify_email_url), ("auth.reset_password_url", &self.reset_password_url)]
        {
            faults.require(url.is_empty() || is_web(url), &format!("{key}: must be an http or https address"));
        }
        let times = [
            self.access_token_minutes,
            self.refresh_token_days,
            self.lock_minutes,
            self.verification_hours,
            self.reset_minutes,
            self.challenge_minutes,
            i64::from(self.lock_after_failures),
        ];
        faults.require(times.iter().all(|time| *time > 0), "auth: times and lock_after_failures must be at least 1");
        faults.require(self.refresh_grace_seconds >= 0, "auth.refresh_grace_seconds: must not be negative");
        faults.require(self.session_check_seconds <= 60, "auth.session_check_seconds: must be at most 60");
    }
}

impl Limits {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(self.clients > 0, "limits.clients: must be at least 1");
    }
}

impl Privacy {
    pub(super) fn check(&self, faults: &mut Faults) {
        let days = [
            self.unverified_account_days,
            self.inactive_account_days,
            self.ended_session_days,
            self.visitor_consent_days,
            self.mail_days,
            self.audit_origin_days,
        ];
        faults.require(days.iter().all(|days| *days >= 0), "privacy: days must not be negative; 0 keeps for ever");
    }
}
