//! The HTTP client of Paystack's API. Reads are repeated when they fail for a
//! moment; what changes something is sent once.

mod breaker;
mod http;
mod payments;
mod refunds;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::Error;
use breaker::Breaker;
pub use breaker::BreakerState;
pub(crate) use http::Answer;

/// Paystack's API; the key decides between test and live mode.
pub const DEFAULT_BASE_URL: &str = "https://api.paystack.co";

/// Tries of one GET, the first included.
const GET_TRIES: u32 = 3;
/// Pause before the second try, doubled for the third; up to as much jitter is added.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait a GET sits out at Paystack's request. If Paystack asks for more,
/// the call ends with the error, which carries the wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How to reach Paystack.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Absolute http or https URL that the API's paths are appended to.
    pub base_url: String,
    /// `sk_test_…` or `sk_live_…`.
    pub secret_key: SecretString,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time of one try in all, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// How many calls in a row must go without an answer (no connection, a timeout,
    /// a 5xx) until no further one is sent; 0: calls are always sent.
    pub breaker_failures: u32,
    /// How long none is sent then. One call tries afterwards, and decides.
    pub breaker_pause: Duration,
}

impl ClientConfig {
    /// Paystack's own API with 5 s to connect and 30 s in all, and 10 s of pause
    /// after 10 calls without an answer.
    #[must_use]
    pub fn new(secret_key: SecretString) -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            secret_key,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(10),
        }
    }
}

/// A client of Paystack's API. Clones share their connections and the breaker.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
    breaker: Arc<Breaker>,
}

/// Leaves out the HTTP client, which holds the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Builds the client; nothing is sent. It follows no redirect, so that the
    /// key goes to `base_url` only, and uses no proxy.
    ///
    /// # Errors
    /// [`Error::Configuration`] if `base_url` is no absolute http(s) URL, the key
    /// is empty or no header value, or TLS cannot be set up.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        let base_url = Url::parse(&config.base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Error::Configuration("the base URL is no absolute http(s) URL".into()))?;
        let key = config.secret_key.expose_secret();
        if key.is_empty() {
            return Err(Error::Configuration("the secret key is empty".into()));
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Error::Configuration("the secret key is no header value".into()))?;
        bearer.set_sensitive(true);
        let http = reqwest::Client::builder()
            .user_agent(concat!("agape-paystack/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .build()
            .map_err(|error| Error::Configuration(error.to_string()))?;
        let breaker = Arc::new(Breaker::new(config.breaker_failures, config.breaker_pause));
        Ok(Self { http, base_url, breaker })
    }

    /// Whether calls are sent at the moment.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        // An http(s) URL always has a path to extend.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a request that changes something, once.
    async fn once(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let permit = self.breaker.begin(Instant::now())?;
        let result = http::send(request).await;
        let failed = matches!(result, Err(Error::Timeout | Error::Network(_) | Error::Unavailable { .. }));
        permit.end(!failed, Instant::now());
        result
    }

    /// Sends a GET up to [`GET_TRIES`] times.
    async fn get(&self, url: Url) -> Result<Answer, Error> {
        let mut tried = 1;
        loop {
            let error = match self.once(self.http.get(url.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = pause_before_retry(&error, tried) else {
                return Err(error);
            };
            tracing::debug!(%error, tried, ?pause, "trying Paystack again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }
}

/// How long to wait before the next try, or `None` to give up.
///
/// A timeout is final: the caller has waited as long as it was meant to. So is an
/// open breaker: it is there so that nobody waits.
fn pause_before_retry(error: &Error, tried: u32) -> Option<Duration> {
    if tried >= GET_TRIES || !error.is_transient() || matches!(error, Error::Timeout | Error::CircuitOpen { .. }) {
        return None;
    }
    let asked = error.retry_after().unwrap_or_default();
    if asked > LONGEST_PAUSE {
        return None;
    }
    let own = FIRST_PAUSE * 2_u32.pow(tried - 1);
    Some(asked.max(own) + rand::random_range(Duration::ZERO..=own))
}

/// `url` with those pairs that have a value.
fn query<const N: usize>(mut url: Url, pairs: [(&str, Option<String>); N]) -> Url {
    let given: Vec<_> = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    if !given.is_empty() {
        url.query_pairs_mut().extend_pairs(given);
    }
    url
}

/// A time as Paystack writes it.
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Paystack answers an unknown reference or id with 400 or with 404. A 404 without
/// Paystack's words comes from something else in between and proves nothing.
fn unknown_as_not_found(error: Error) -> Error {
    match &error {
        Error::Rejected { http_status: 400 | 404, code, message }
            if code.as_deref().is_some_and(|code| code.ends_with("_not_found"))
                || message.to_ascii_lowercase().contains("not found") =>
        {
            Error::NotFound
        }
        _ => error,
    }
}
