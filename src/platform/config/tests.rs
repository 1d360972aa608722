use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn the_defaults_are_valid() {
    let config = Config::defaults().unwrap();
    assert_eq!(config.public_url(), "http://localhost:3000");
    assert!(config.uses_sandbox());
}

#[test]
fn the_environment_overrides_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nport = 4000\n[cart]\nmax_quantity = 3\n").unwrap();
    let vars = env(&[("PORT", "4100"), ("AGAPE_CART__GUEST_HOURS", "48"), ("HOME", "/root")]);
    let config = Settings::load(Some(file.path()), &vars).unwrap().config().unwrap();
    assert_eq!((config.server.port, config.cart.max_quantity, config.cart.guest_hours), (4100, 3, 48));
}

#[test]
fn every_fault_of_a_source_is_listed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nport = \"x\"\nprot = 1\n[sevrer]\n").unwrap();
    let vars = env(&[("PORT", "many"), ("AGAPE_CART__MAX", "3")]);
    let faults = Settings::load(Some(file.path()), &vars).unwrap_err().0;
    assert_eq!(faults.len(), 5, "{faults:#?}");
}

#[test]
fn a_number_out_of_range_names_its_setting() {
    let vars = env(&[("PORT", "80000"), ("AGAPE_CART__MAX_QUANTITY", "99999999999"), ("DATABASE_URL", "x")]);
    let faults = Settings::load(None, &vars).unwrap().config().unwrap_err().0;
    assert_eq!(faults, ["cart.max_quantity: 99999999999 is out of range", "server.port: 80000 is out of range"]);
    let faults = Settings::load(None, &env(&[("DATABASE_URL", "x")])).unwrap().config().unwrap_err().0;
    assert!(faults[0].starts_with("database.url: must be like"), "{faults:?}");
}

#[test]
fn the_address_of_redis_is_checked_and_never_quoted() {
    for good in ["redis://localhost", "rediss://:secret@cache.example.com:6380/2", "unix:///run/redis.sock"] {
        assert!(Settings::load(None, &env(&[("REDIS_URL", good)])).unwrap().config().is_ok(), "{good}");
    }
    for bad in ["http://:secret@h", "secret", "redis://h/secret"] {
        let faults = Settings::load(None, &env(&[("REDIS_URL", bad)])).unwrap().config().unwrap_err().0;
        assert!(faults[0].starts_with("redis.url: must be like"), "{bad}: {faults:?}");
        assert!(!faults[0].contains("secret"), "{faults:?}");
    }
}

#[test]
fn production_lists_everything_that_is_missing() {
    let settings = Settings::load(None, &env(&[("AGAPE_ENV", "production")])).unwrap();
    let faults = settings.config().unwrap_err().0;
    for key in [
        "server.public_url",
        "server.cors_origins",
        "database.url",
        "auth.private_key_file",
        "auth.encryption_key",
        "payments.provider",
        "mail.provider",
        "media.provider",
        "media.signing_key",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(key)), "{key}: {faults:#?}");
    }
}

#[test]
fn a_media_provider_needs_all_of_its_settings() {
    let faults = |pairs: &[(&str, &str)]| match Settings::load(None, &env(pairs)).unwrap().config() {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.iter().map(|fault| fault.split(':').next().unwrap().to_owned()).collect(),
    };
    assert_eq!(faults(&[("AGAPE_MEDIA__PROVIDER", "ftp")]), ["media.provider"]);
    assert_eq!(faults(&[("AGAPE_MEDIA__PROVIDER", "cloudinary")]), ["media.cloudinary_url"]);
    assert_eq!(faults(&[("CLOUDINARY_URL", "https://key:hunter2@cloud")]), ["media.cloudinary_url"]);
    assert!(faults(&[("AGAPE_MEDIA__PROVIDER", "cloudinary"), ("CLOUDINARY_URL", "cloudinary://k:s@c")]).is_empty());
    assert_eq!(
        faults(&[("AGAPE_MEDIA__PROVIDER", "s3"), ("AGAPE_MEDIA__S3_REGION", "")]),
        ["media.s3_endpoint", "media.s3_region", "media.s3_bucket", "media.s3_access_key", "media.s3_secret_key"]
    );
    let slow = [
        ("AGAPE_MEDIA__PROVIDER", "cloudinary"),
        ("CLOUDINARY_URL", "cloudinary://k:s@c"),
        ("AGAPE_MEDIA__TIMEOUT_SECONDS", "30"),
    ];
    assert_eq!(faults(&slow), ["media.timeout_seconds"]);
    let many = [
        ("AGAPE_MEDIA__MAX_BYTES", "0"),
        ("AGAPE_MEDIA__MEMORY_BYTES", "67108863"),
        ("AGAPE_MEDIA__SIGNING_KEY", "abc"),
    ];
    assert_eq!(faults(&many), ["media.max_bytes", "media.memory_bytes", "media.signing_key"]);
}

#[test]
fn the_times_of_payments_are_read_and_bounded() {
    let vars = env(&[
        ("AGAPE_PAYMENTS__DISPUTE_HOURS", "48, 6"),
        ("AGAPE_PAYMENTS__RECONCILE_AT", "03:30"),
        ("AGAPE_PAYMENTS__FINANCE_EMAILS", "a@example.com,b@example.com"),
        ("AGAPE_PAYMENTS__RECONCILE_MAIL", "always"),
    ]);
    let payments = Settings::load(None, &vars).unwrap().config().unwrap().payments;
    assert_eq!(payments.dispute_hours, [Hours(48), Hours(6)]);
    assert_eq!((payments.reconcile_at.to_string().as_str(), payments.finance_emails.len()), ("03:30:00", 2));
    assert_eq!(payments.reconcile_mail, ReconcileMail::Always);
    for (key, value) in [
        ("dispute_hours", "soon"),
        ("dispute_hours", "0"),
        ("reconcile_at", "25:00"),
        ("reconcile_days", "0"),
        ("reconcile_mail", "often"),
        ("sweep_minutes", "0"),
        ("sweep_hours", "721"),
        ("webhook_days", "-1"),
        ("finance_emails", "nobody"),
    ] {
        let name = format!("AGAPE_PAYMENTS__{}", key.to_uppercase());
        let Faults(faults) = Settings::load(None, &env(&[(name.as_str(), value)])).unwrap().config().unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(&format!("payments.{key}")), "{key}: {faults:?}");
    }
}

#[test]
fn secrets_do_not_print() {
    let vars = env(&[
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("REDIS_URL", "rediss://:hunter2@h/0"),
        ("PAYSTACK_SECRET_KEY", "sk_test_hunter2"),
    ]);
    let settings = Settings::load(None, &vars).unwrap();
    assert!(!settings.masked().contains("hunter2"));
    assert!(!format!("{:?}", settings.config().unwrap()).contains("hunter2"));
}

#[test]
fn accounts_and_limits_are_read_and_faults_named() {
    let accounts = "NGN; First Bank; AGAPE LOOKS LTD; 0123456789,GHS; GCB; AGAPE; 77; Sort code 12-34";
    let limits = "NGN 500,GHS 70";
    let vars = env(&[
        ("AGAPE_PAYMENTS__TRANSFER_ACCOUNTS", accounts),
        ("AGAPE_PAYMENTS__PAY_ON_DELIVERY_LIMITS_MINOR", limits),
    ]);
    let payments = Settings::load(None, &vars).unwrap().config().unwrap().payments;
    assert_eq!(payments.accounts("NGN")[0].number, "0123456789");
    assert_eq!(payments.accounts("GHS")[0].note.as_deref(), Some("Sort code 12-34"));
    assert!(payments.accounts("USD").is_empty());
    let limits = &payments.pay_on_delivery_limits_minor;
    assert_eq!([Limit::of(limits, "GHS"), Limit::of(limits, "USD")], [Some(70), None]);
    for (key, wrong) in [
        ("payments.transfer_accounts", "NGN; First Bank; AGAPE"),
        ("payments.transfer_accounts", "naira; First Bank; AGAPE; 1"),
        ("payments.transfer_accounts", "NGN; First Bank; ; 1"),
        ("payments.pay_on_delivery_limits_minor", "NGN -1"),
        ("payments.pay_on_delivery_limits_minor", "NGN 1.5"),
        ("payments.pay_on_delivery_limits_minor", "NGN 1,NGN 2"),
        ("fraud.payment_limits_minor", "5000"),
        ("fraud.day_weight", "101"),
        ("fraud.review_score", "0"),
    ] {
        let name = format!("AGAPE_{}", key.to_uppercase().replacen('.', "__", 1));
        let faults = Settings::load(None, &env(&[(name.as_str(), wrong)])).unwrap().config().unwrap_err().0;
        assert!(faults.len() == 1 && faults[0].starts_with(key), "{key} {wrong}: {faults:?}");
    }
}
