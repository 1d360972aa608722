//! The HTTP client of Paystack's transaction API.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::fields::{Fields, required, take};
use crate::reference::is_dot_segment;
use crate::{Error, InitializeTransaction, InitializedTransaction, ListTransactions, Page, Transaction};

/// Paystack's API; the key decides between test and live mode.
pub const DEFAULT_BASE_URL: &str = "https://api.paystack.co";

/// Tries of one GET, the first included.
const GET_TRIES: u32 = 3;
/// Pause before the second try, doubled for the third; up to as much jitter is added.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait a GET sits out at Paystack's request. If Paystack asks for more,
/// the call ends with the error, which carries the wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes. A page of 100 transactions is about 200 kB.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

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
}

impl ClientConfig {
    /// Paystack's own API with 5 s to connect and 30 s in all.
    #[must_use]
    pub fn new(secret_key: SecretString) -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            secret_key,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A client of Paystack's transaction API. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
}

/// Leaves out the HTTP client, which holds the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// A successful answer's `data` and `meta`.
struct Answer {
    data: Value,
    meta: Value,
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
        Ok(Self { http, base_url })
    }

    /// Starts a payment attempt (`POST /transaction/initialize`). Sent once:
    /// after a transient error the attempt may exist, so `verify` its reference.
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`; see [`Error::is_duplicate_reference`].
    pub async fn initialize(&self, request: &InitializeTransaction) -> Result<InitializedTransaction, Error> {
        let url = self.url(&["transaction", "initialize"]);
        let answer = send(self.http.post(url).json(request)).await?;
        InitializedTransaction::try_from(&answer.data)
    }

    /// The state of one attempt (`GET /transaction/verify/{reference}`). That the
    /// call succeeds does not say that the payment did: see `status`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a reference Paystack does not know, else any
    /// other [`Error`], after a bounded number of tries.
    pub async fn verify(&self, reference: &str) -> Result<Transaction, Error> {
        // No URL path can name these, and they would change which path is called.
        if reference.is_empty() || is_dot_segment(reference) {
            return Err(Error::NotFound);
        }
        let answer = self.get(self.url(&["transaction", "verify", reference])).await;
        Transaction::try_from(&answer.map_err(unknown_as_not_found)?.data)
    }

    /// One page of the integration's transactions (`GET /transaction`).
    ///
    /// # Errors
    /// Any [`Error`] but `NotFound`, after a bounded number of tries.
    pub async fn list(&self, query: &ListTransactions) -> Result<Page<Transaction>, Error> {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let pairs = [
            ("page", query.page.map(|page| page.to_string())),
            ("perPage", query.per_page.map(|count| count.to_string())),
            ("from", query.from.map(time)),
            ("to", query.to.map(time)),
            ("status", query.status.as_ref().map(|status| status.as_str().to_owned())),
        ];
        let mut url = self.url(&["transaction"]);
        url.query_pairs_mut().extend_pairs(pairs.into_iter().filter_map(|(key, value)| Some((key, value?))));
        let answer = self.get(url).await?;
        let items = required(answer.data.as_array(), "data")?;
        let items = items.iter().map(Transaction::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(items, &answer.meta))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        // An http(s) URL always has a path to extend.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a GET up to [`GET_TRIES`] times.
    async fn get(&self, url: Url) -> Result<Answer, Error> {
        let mut tried = 1;
        loop {
            let error = match send(self.http.get(url.clone())).await {
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
/// A timeout is final: the caller has waited as long as it was meant to.
fn pause_before_retry(error: &Error, tried: u32) -> Option<Duration> {
    if tried >= GET_TRIES || !error.is_transient() || matches!(error, Error::Timeout) {
        return None;
    }
    let asked = error.retry_after().unwrap_or_default();
    if asked > LONGEST_PAUSE {
        return None;
    }
    let own = FIRST_PAUSE * 2_u32.pow(tried - 1);
    Some(asked.max(own) + rand::random_range(Duration::ZERO..=own))
}

/// Sends one request and reads Paystack's envelope.
async fn send(request: RequestBuilder) -> Result<Answer, Error> {
    let response = request.send().await.map_err(transport_error)?;
    let status = response.status();
    let retry_after = asked_wait(response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::RateLimited { retry_after });
    }
    if status.is_server_error() {
        return Err(Error::Unavailable { http_status: status.as_u16(), retry_after });
    }
    let body = read_body(response).await?;
    let envelope = serde_json::from_slice::<Value>(&body);
    let worked = |envelope: &Value| Fields(envelope).flag("status") == Some(true);
    match envelope {
        Ok(mut envelope) if status.is_success() && worked(&envelope) => {
            Ok(Answer { data: take(&mut envelope, "data"), meta: take(&mut envelope, "meta") })
        }
        Err(error) if status.is_success() => Err(Error::Decode(error.to_string())),
        envelope => {
            let envelope = envelope.unwrap_or_default();
            let fields = Fields(&envelope);
            Err(Error::Rejected {
                http_status: status.as_u16(),
                code: fields.text("code"),
                message: fields.text("message").unwrap_or_else(|| "no message".to_owned()),
            })
        }
    }
}

fn transport_error(error: reqwest::Error) -> Error {
    if error.is_timeout() { Error::Timeout } else { Error::Network(error.without_url()) }
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::Decode(format!("the answer exceeds {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The wait an answer asks for, in seconds: `retry-after`, or Paystack's
/// `x-ratelimit-reset` (Paystack API reference, "Rate limits").
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    seconds(RETRY_AFTER.as_str()).or_else(|| seconds("x-ratelimit-reset")).map(Duration::from_secs)
}

/// Paystack answers an unknown reference with 400 or with 404. A 404 without
/// Paystack's words comes from something else in between and proves nothing.
fn unknown_as_not_found(error: Error) -> Error {
    match &error {
        Error::Rejected { http_status: 400 | 404, code, message }
            if code.as_deref() == Some("transaction_not_found")
                || message.to_ascii_lowercase().contains("not found") =>
        {
            Error::NotFound
        }
        _ => error,
    }
}
