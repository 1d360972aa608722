//! How orders are paid, and who hears of it.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Faults, sections};

sections! {
    Payments {
        provider: String, paystack_secret_key: SecretString, paystack_previous_secret_key: SecretString,
        paystack_url: String, timeout_seconds: u64,
    }
    Mail { provider: String, from: String, smtp_url: SecretString, timeout_seconds: u64, }
}

impl Payments {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            matches!(self.provider.as_str(), "" | "sandbox" | "paystack"),
            "payments.provider: must be \"sandbox\" or \"paystack\"",
        );
        let key = self.paystack_secret_key.expose_secret();
        faults.require(
            self.provider != "paystack" || key.starts_with("sk_test_") || key.starts_with("sk_live_"),
            "payments.paystack_secret_key: must be a key that starts with sk_test_ or sk_live_ (PAYSTACK_SECRET_KEY)",
        );
    }
}

impl Mail {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            matches!(self.provider.as_str(), "" | "local" | "smtp"),
            "mail.provider: must be \"local\" or \"smtp\"",
        );
        let is_server = url::Url::parse(self.smtp_url.expose_secret())
            .is_ok_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
        faults.require(
            self.provider != "smtp" || is_server,
            "mail.smtp_url: must be like smtps://user:password@host:465, or \
             smtp://user:password@host:587?tls=required (AGAPE_MAIL__SMTP_URL)",
        );
    }

    /// Whether what is handed to the mail server is not read on the way.
    pub(super) fn is_private(&self) -> bool {
        url::Url::parse(self.smtp_url.expose_secret()).is_ok_and(|url| {
            url.scheme() == "smtps"
                || url.query().is_some_and(|query| query.contains("tls=required"))
                || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        })
    }
}
