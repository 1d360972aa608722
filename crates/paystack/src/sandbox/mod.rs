//! A server that stands in for Paystack where no account is at hand: its
//! API of transactions, refunds and disputes, its hosted payment page and its signed webhooks. No money
//! moves. With `base_url` set to [`SandboxConfig::public_url`], a
//! [`Client`](crate::Client) works against it as against Paystack.
//!
//! | Path | What |
//! | --- | --- |
//! | `POST /transaction/initialize` | starts a transaction |
//! | `GET /transaction/verify/{reference}` | one transaction by reference |
//! | `GET /transaction` | list: `perPage`, `page`, `status`, `from`, `to` |
//! | `GET /transaction/{id}` | one transaction by id |
//! | `POST /refund`, `GET /refund`, `GET /refund/{id}` | refunds |
//! | `POST /refund/retry_with_customer_details/{id}` | a refund that needs attention |
//! | `GET /bank` | banks: `country`, `currency`, `type` |
//! | `GET /dispute`, `GET /dispute/{id}`, `PUT /dispute/{id}/resolve` | disputes |
//! | `GET`, `POST /checkout/{access_code}` | the payment page and its forms |
//! | `POST /_control/faults` | sets what goes wrong, see [`Faults`] |
//! | `POST /_control/webhook` | `{"reference": "…"}`: sends its `charge.success` again |
//! | `POST /_control/payment` | `{"reference": "…", "action": "…"}`: what the page's forms do |
//! | `POST /_control/refund` | `{"id": 1, "status": "…"}`: moves a refund |
//! | `POST /_control/disputes` | `{"reference": "…"}`: opens a dispute |
//! | `POST /_control/disputes/{id}` | `{"event": "remind"}` or `{"event": "resolve"}` |
//!
//! All but the payment page want `Authorization: Bearer` with the secret key.

mod answer;
mod api;
mod checkout;
mod control;
mod delivery;
mod dispute;
mod list;
mod means;
mod money;
mod payment;
mod refund;
mod refund_api;
mod store;
mod wish;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post, put};
use minijinja::Environment;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

pub use control::{FailNext, Faults, RefundPace};
use store::Store;
pub use wish::{Taken, WebhookFault};

/// The merchant's number at Paystack.
const INTEGRATION: u64 = 100_043;

/// How long one webhook try waits for the receiver's answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// What a [`Sandbox`] needs to know.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// The key that callers must present and that signs the webhooks.
    pub secret_key: SecretString,
    /// Where browsers and clients reach [`Sandbox::router`], without a trailing
    /// slash, such as `http://localhost:3000/sandbox/paystack`. Every link is made
    /// from it.
    pub public_url: String,
    /// Where webhooks are posted; `None` sends none.
    pub webhook_url: Option<String>,
    /// JSON file that keeps transactions, faults and unsent webhooks over a
    /// restart; `None` keeps them in memory only. One process at a time may use it.
    pub state_file: Option<PathBuf>,
    /// The shop's name on the payment page.
    pub store_name: String,
}

/// The sandbox. Clones share one state.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

/// Leaves out the state, and with it the payers.
impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("config", &self.0.config).finish_non_exhaustive()
    }
}

struct Inner {
    config: SandboxConfig,
    store: Store,
    templates: Environment<'static>,
    http: reqwest::Client,
}

impl Sandbox {
    /// Reads the state file, if there is one, and goes on sending the webhooks
    /// that a former process left unsent. Call it inside a Tokio runtime.
    ///
    /// # Errors
    /// An I/O error if the state file cannot be read or holds something else, if
    /// there is no Tokio runtime, or if the HTTP client cannot be set up.
    pub fn new(config: SandboxConfig) -> io::Result<Self> {
        tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("agape-paystack-sandbox/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(WEBHOOK_TIMEOUT)
            .build()
            .map_err(io::Error::other)?;
        let store = Store::open(config.state_file.clone())?;
        let templates = checkout::templates().map_err(io::Error::other)?;
        let sandbox = Self(Arc::new(Inner { config, store, templates, http }));
        delivery::resume(&sandbox);
        refund::resume(&sandbox);
        Ok(sandbox)
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        let were_held = self.0.store.change(|state| std::mem::replace(&mut state.faults, faults).refunds);
        if were_held == RefundPace::Held {
            refund::resume(self);
        }
    }

    /// The routes, to be nested under the path of
    /// [`SandboxConfig::public_url`].
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/transaction/initialize", post(api::initialize))
            .route("/transaction/verify/{reference}", get(api::verify))
            .route("/transaction/{id}", get(api::fetch))
            .route("/transaction", get(api::list))
            .route("/refund", get(refund_api::list).post(refund_api::create))
            .route("/refund/{id}", get(refund_api::fetch))
            .route("/refund/retry_with_customer_details/{id}", post(refund_api::retry))
            .route("/bank", get(refund_api::banks))
            .route("/dispute", get(dispute::list))
            .route("/dispute/{id}", get(dispute::fetch))
            .route("/dispute/{id}/resolve", put(dispute::resolve))
            .route_layer(middleware::from_fn_with_state(self.clone(), control::misbehave));
        let control = Router::new()
            .route("/_control/faults", post(control::set_faults))
            .route("/_control/webhook", post(control::send_webhook))
            .route("/_control/payment", post(control::act))
            .route("/_control/refund", post(control::move_refund))
            .route("/_control/disputes", post(dispute::open))
            .route("/_control/disputes/{id}", post(dispute::happen));
        let page = Router::new()
            .route("/checkout/{access_code}", get(checkout::show).post(checkout::submit))
            .route("/style.css", get(checkout::style));
        api.merge(control)
            .route_layer(middleware::from_fn_with_state(self.clone(), require_key))
            .merge(page)
            .with_state(self.clone())
    }

    fn checkout_url(&self, access_code: &str) -> String {
        format!("{}/checkout/{access_code}", self.0.config.public_url)
    }
}

/// Lets a request with the secret key through.
async fn require_key(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let expected = format!("Bearer {}", sandbox.0.config.secret_key.expose_secret());
    let given = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    match given {
        Some(given) if given == expected.as_bytes() => next.run(request).await,
        Some(_) => answer::invalid_key("Invalid key"),
        None => answer::invalid_key("No Authorization Header was found"),
    }
}
