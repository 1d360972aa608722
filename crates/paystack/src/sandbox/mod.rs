//! A server that stands in for Paystack where no account is at hand: its
//! transaction API, its hosted payment page and its signed webhooks. No money
//! moves. With `base_url` set to [`SandboxConfig::public_url`], a
//! [`Client`](crate::Client) works against it as against Paystack.
//!
//! | Path | What |
//! | --- | --- |
//! | `POST /transaction/initialize` | starts a transaction |
//! | `GET /transaction/verify/{reference}` | one transaction by reference |
//! | `GET /transaction` | list: `perPage`, `page`, `status`, `from`, `to` |
//! | `GET /transaction/{id}` | one transaction by id |
//! | `GET`, `POST /checkout/{access_code}` | the payment page and its forms |
//! | `POST /_control/faults` | sets what goes wrong, see [`Faults`] |
//! | `POST /_control/webhook` | `{"reference": "…"}`: sends its `charge.success` again |
//!
//! All but the payment page want `Authorization: Bearer` with the secret key.

mod answer;
mod api;
mod checkout;
mod control;
mod delivery;
mod money;
mod payment;
mod store;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::Environment;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

pub use control::{FailNext, Faults, WebhookFault};
use store::Store;

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
        Ok(sandbox)
    }

    /// The routes, to be nested under the path of
    /// [`SandboxConfig::public_url`].
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/transaction/initialize", post(api::initialize))
            .route("/transaction/verify/{reference}", get(api::verify))
            .route("/transaction/{id}", get(api::fetch))
            .route("/transaction", get(api::list))
            .route_layer(middleware::from_fn_with_state(self.clone(), control::misbehave));
        let control = Router::new()
            .route("/_control/faults", post(control::set_faults))
            .route("/_control/webhook", post(control::send_webhook));
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
