//! The application: everything that outlives a request, built once at the start.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::features::auth::{Hasher, LiveSessions, TokenKeys};
use crate::features::carts::EmptyCarts;
use crate::features::catalog::{ListCache, ProductCache};
use crate::features::media::Media;
use crate::features::notifications::Mailer;
use crate::features::payments::BankCache;
use crate::flows::place::Placing;
use crate::flows::rates::RatesCache;
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::crypto::Vault;
use crate::platform::db::Db;
use crate::platform::jobs::Waker;
use crate::platform::rate_limit::RateLimiter;
use crate::platform::redis::Redis;
use crate::platform::signals::{Heard, Hearing, Signals, Topic};
use crate::platform::telemetry;

/// A handle to the application; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

/// What the application holds.
#[derive(Debug)]
pub struct Parts {
    /// The effective settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// Redis, where the shop has one.
    pub redis: Option<Redis>,
    /// Tells other processes what has changed.
    pub signals: Signals,
    /// Whether this process hears what others change.
    pub hearing: Hearing,
    /// The time.
    pub clock: Clock,
    /// Hashes passwords, a few at a time.
    pub hasher: Hasher,
    /// Signs and checks access tokens.
    pub token_keys: TokenKeys,
    /// Takes mails out of the house.
    pub mailer: Mailer,
    /// Encrypts what must be read again.
    pub vault: Vault,
    /// Sessions that were found alive a moment ago.
    pub live_sessions: LiveSessions,
    /// Products as they were last answered.
    pub product_cache: ProductCache,
    /// Lists of products as they were last answered.
    pub list_cache: ListCache,
    /// Carts that are known to be empty.
    pub empty_carts: EmptyCarts,
    /// Taxes and shipping as they are now.
    pub rates: RatesCache,
    /// Orders that are being placed.
    pub placing: Placing,
    /// Keeps and shows pictures.
    pub media: Media,
    /// Counts requests.
    pub rate_limiter: RateLimiter,
    /// Wakes the workers after a commit.
    pub waker: Waker,
    /// The payment provider.
    pub paystack: paystack::Client,
    /// The banks that it has listed lately.
    pub banks: BankCache,
    /// What `/metrics` prints.
    pub metrics: PrometheusHandle,
    /// Set when the process begins to stop.
    pub stopping: AtomicBool,
}

impl App {
    /// Builds the parts that the settings describe. `signing_key` is the PEM file of the access tokens; it is made
    /// where the settings name none.
    ///
    /// # Errors
    /// When the key cannot be read, or a setting is refused by the part it is for.
    pub fn new(config: Config, db: Db, redis: Option<Redis>, clock: Clock, signing_key: &Path) -> anyhow::Result<Self> {
        let make_key = config.auth.private_key_file.is_empty();
        let paystack = paystack::Client::new(paystack::ClientConfig {
            base_url: config.payments.paystack_url.clone(),
            timeout: Duration::from_secs(config.payments.timeout_seconds),
            breaker_failures: config.payments.breaker_failures,
            breaker_pause: Duration::from_secs(config.payments.breaker_seconds),
            ..paystack::ClientConfig::new(config.payments.paystack_secret_key.clone())
        })?;
        let (signals, hearing) = (Signals::new(db.clone()), Hearing::default());
        let product_cache = ProductCache::new(&config.cache, redis.clone(), signals.clone(), hearing.clone());
        Ok(Self(Arc::new(Parts {
            hasher: Hasher::new(&config.auth)?,
            token_keys: TokenKeys::load(signing_key, make_key, &config.auth)?,
            mailer: Mailer::new(&config.mail)?,
            vault: Vault::load(
                &config.auth.encryption_key,
                &config.auth.previous_encryption_key,
                &config.server.data_dir.join("keys/encryption.key"),
            )?,
            live_sessions: LiveSessions::new(&config.auth, signals.clone(), hearing.clone()),
            list_cache: ListCache::new(&config.cache, product_cache.epochs(), hearing.clone()),
            product_cache,
            empty_carts: EmptyCarts::new(redis.clone(), signals.clone(), hearing.clone()),
            rates: RatesCache::new(&config.cache, db.clone(), signals.clone(), hearing.clone()),
            rate_limiter: RateLimiter::new(&config.limits, redis.clone()),
            placing: Placing::default(),
            media: Media::new(&config, db.clone(), signals.clone())?,
            waker: Waker::default(),
            paystack,
            banks: BankCache::default(),
            metrics: telemetry::init_metrics(),
            stopping: AtomicBool::new(false),
            config,
            db,
            redis,
            signals,
            hearing,
            clock,
        })))
    }

    /// Takes a change that another process tells into all caches.
    pub async fn hear(self, heard: Heard) {
        match heard {
            Heard::Anew => {
                self.product_cache.start_anew();
                self.empty_carts.start_anew();
                self.live_sessions.start_anew();
                self.media.start_anew();
                self.rates.start_anew();
            }
            Heard::Change(signal) => match signal.topic {
                Topic::Products => self.product_cache.hear(signal.ids, signal.redis_missed).await,
                Topic::Carts => self.empty_carts.hear(signal.ids).await,
                Topic::Sessions => self.live_sessions.hear(signal.ids).await,
                Topic::Pictures => self.media.hear(signal.ids).await,
                Topic::Rates => self.rates.start_anew(),
            },
        }
    }

    /// Whether the process is stopping and wants no more requests.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Makes `/readyz` say no.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
