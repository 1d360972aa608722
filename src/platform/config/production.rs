//! What a shop must choose itself.

use secrecy::ExposeSecret;

use super::{Config, Faults};

pub(super) fn check(config: &Config, faults: &mut Faults) {
    faults.require(
        config.server.public_url.starts_with("https://"),
        "server.public_url: production needs the https address that shoppers use (AGAPE_SERVER__PUBLIC_URL)",
    );
    faults.require(
        !config.database.url.expose_secret().is_empty(),
        "database.url: production needs its own PostgreSQL (DATABASE_URL)",
    );
    faults.require(
        config.server.cors_origins.iter().all(|origin| origin.starts_with("https://")),
        "server.cors_origins: production needs the https addresses of its storefronts, or an empty list \
         (AGAPE_SERVER__CORS_ORIGINS)",
    );
    faults.require(
        !config.auth.private_key_file.is_empty(),
        "auth.private_key_file: production needs a key file (AGAPE_AUTH__PRIVATE_KEY_FILE)",
    );
    faults.require(
        !config.auth.encryption_key.expose_secret().is_empty(),
        "auth.encryption_key: production needs a key of 64 hexadecimal digits (AGAPE_AUTH__ENCRYPTION_KEY; \
         openssl rand -hex 32)",
    );
    faults.require(
        !config.payments.provider.is_empty(),
        "payments.provider: production must choose \"paystack\", or \"sandbox\" for a rehearsal \
         (AGAPE_PAYMENTS__PROVIDER)",
    );
    faults.require(
        !config.mail.provider.is_empty(),
        "mail.provider: production must choose how mail leaves (AGAPE_MAIL__PROVIDER)",
    );
    faults.require(
        !config.media.provider.is_empty(),
        "media.provider: production must choose where pictures are kept: \"local\" (a disk that is backed up and \
         that all processes share), \"s3\" or \"cloudinary\" (AGAPE_MEDIA__PROVIDER)",
    );
    faults.require(
        config.media.provider == "cloudinary" || !config.media.signing_key.expose_secret().is_empty(),
        "media.signing_key: production needs a key of 64 hexadecimal digits (AGAPE_MEDIA__SIGNING_KEY; openssl \
         rand -hex 32)",
    );
    faults.require(
        config.mail.provider != "smtp" || config.mail.is_private(),
        "mail.smtp_url: production needs TLS to a mail server on another machine (smtps://, or tls=required)",
    );
}
