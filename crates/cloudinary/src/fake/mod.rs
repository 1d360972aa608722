//! A server that stands in for Cloudinary where no account is at hand: uploads,
//! destroys and delivers pictures, which it keeps in memory. With `base_url` and
//! `delivery_url` set to [`FakeConfig::public_url`], a [`Client`](crate::Client)
//! works against it as against Cloudinary, and so does a browser with a
//! [`DirectUpload`](crate::DirectUpload).
//!
//! | Path | What |
//! | --- | --- |
//! | `GET /v1_1/{cloud}/ping` | is there |
//! | `POST /v1_1/{cloud}/{image,raw}/upload` | keeps a picture, or a file |
//! | `POST /v1_1/{cloud}/{image,raw}/destroy` | forgets it |
//! | `GET /{cloud}/{image,raw}/{type}/…` | delivers it, signed or not |
//! | `POST /_control/faults` | sets what goes wrong, see [`Faults`] |
//!
//! Calls come with HTTP Basic (key and secret) or signed, with signature version 2
//! only; the control endpoint wants Basic. What it does less than Cloudinary:
//! pictures are delivered as they came, whatever transformation or format is asked
//! for; there are no notifications; and a parameter that it does not know is refused
//! rather than passed over.

mod answer;
mod api;
mod auth;
mod control;
mod delivery;
mod picture;
mod store;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::Utc;
use secrecy::SecretString;

pub use control::{FailNext, Faults};
pub use store::Served;
use store::Store;

use crate::{MAX_FILE, SignatureAlgorithm};

/// Room in an upload's body for all that is not the file.
const FORM_OVERHEAD: usize = 64 * 1024;

/// What a [`Fake`] needs to know.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// The only account.
    pub cloud_name: String,
    /// The account's key.
    pub api_key: String,
    /// The account's secret.
    pub api_secret: SecretString,
    /// The account's hash.
    pub signature_algorithm: SignatureAlgorithm,
    /// Where browsers and clients reach [`Fake::router`], without a trailing slash,
    /// such as `http://localhost:3000/sandbox/cloudinary`. The addresses of pictures
    /// are made from it.
    pub public_url: String,
    /// Largest picture, in bytes.
    pub max_file: usize,
    /// Most that all pictures together may take, in bytes.
    pub max_kept: usize,
    /// What time it is.
    pub clock: Clock,
}

impl FakeConfig {
    /// An account with SHA-1, pictures of [`MAX_FILE`] bytes, 256 MiB of them, and
    /// the system's time.
    #[must_use]
    pub fn new(
        cloud_name: impl Into<String>,
        api_key: impl Into<String>,
        api_secret: SecretString,
        public_url: impl Into<String>,
    ) -> Self {
        Self {
            cloud_name: cloud_name.into(),
            api_key: api_key.into(),
            api_secret,
            signature_algorithm: SignatureAlgorithm::default(),
            public_url: public_url.into(),
            max_file: MAX_FILE,
            max_kept: 256 * 1024 * 1024,
            clock: Clock::default(),
        }
    }
}

/// Tells the Unix time, in seconds.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// A clock of the caller's.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> i64 {
        (self.0)()
    }
}

/// The system's clock.
impl Default for Clock {
    fn default() -> Self {
        Self::new(|| Utc::now().timestamp())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// The fake. Clones share one state, which lives in memory only.
#[derive(Clone)]
pub struct Fake(Arc<Inner>);

/// Leaves out the pictures.
impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("config", &self.0.config).finish_non_exhaustive()
    }
}

struct Inner {
    config: FakeConfig,
    store: Store,
}

impl Fake {
    /// A fake without pictures.
    #[must_use]
    pub fn new(config: FakeConfig) -> Self {
        Self(Arc::new(Inner { config, store: Store::default() }))
    }

    /// The routes, to be nested under the path of [`FakeConfig::public_url`].
    pub fn router(&self) -> Router {
        let limit = self.0.config.max_file.saturating_add(FORM_OVERHEAD);
        let api = Router::new()
            .route("/v1_1/{cloud}/{resource}/upload", post(api::upload).layer(DefaultBodyLimit::max(limit)))
            .route("/v1_1/{cloud}/{resource}/destroy", post(api::destroy))
            .route("/v1_1/{cloud}/ping", get(api::ping))
            .route_layer(middleware::from_fn_with_state(self.clone(), control::misbehave));
        api.route("/{cloud}/{resource}/{type}/{*path}", get(delivery::deliver))
            // Browsers of any page may upload and show pictures.
            .route_layer(middleware::map_response(allow_any_origin))
            .route("/_control/faults", post(control::set_faults))
            .with_state(self.clone())
    }

    /// The last deliveries, oldest first, so that a test can see what was asked for.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.0.store.with(|state| state.served.iter().cloned().collect())
    }
}

async fn allow_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
