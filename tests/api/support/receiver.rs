//! A server of somebody who is told of events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Notify;

/// What it was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    pub event: Value,
}

#[derive(Default)]
struct Inner {
    told: Mutex<Vec<Told>>,
    /// What a path answers, or an event of an order there; else 200.
    answers: Mutex<HashMap<String, u16>>,
    is_released: AtomicBool,
    release: Notify,
}

/// Takes whatever comes. `/hang` answers nothing until it is released, `/away` redirects to `/stolen`.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(take).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner }
    }

    /// From now on a path, or an order by its id, is answered so.
    pub fn answer(&self, what: &str, status: u16) {
        self.inner.answers.lock().unwrap().insert(what.to_owned(), status);
    }

    /// Lets those go that hang, and hangs no more.
    pub fn release(&self) {
        self.inner.is_released.store(true, Ordering::SeqCst);
        self.inner.release.notify_waiters();
    }

    /// What a path was told so far.
    pub fn told(&self, path: &str) -> Vec<Told> {
        self.inner.told.lock().unwrap().iter().filter(|told| told.path == path).cloned().collect()
    }
}

async fn take(State(inner): State<Arc<Inner>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    let path = uri.path().to_owned();
    let status = {
        let answers = inner.answers.lock().unwrap();
        let of_order = event["orderId"].as_str().and_then(|order| answers.get(order));
        answers.get(&path).or(of_order).copied().unwrap_or(200)
    };
    let released = inner.release.notified();
    inner.told.lock().unwrap().push(Told { path: path.clone(), headers, body, event });
    if path == "/hang" && !inner.is_released.load(Ordering::SeqCst) {
        released.await;
    }
    if path == "/away" {
        return (StatusCode::FOUND, [("location", "/stolen")]).into_response();
    }
    (StatusCode::from_u16(status).unwrap(), "a".repeat(5_000)).into_response()
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Whether it is signed with this secret, as a receiver finds out.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let mut parts = self.header("agape-signature").split(',');
        let at = parts.next().unwrap().strip_prefix("t=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = format!("{at}.{}", self.body);
        let is_it = |part: &str| {
            let tag = hex::decode(part.strip_prefix("v1=").unwrap()).unwrap();
            hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
        };
        parts.any(is_it)
    }

    /// How many signatures there are.
    pub fn signatures(&self) -> usize {
        self.header("agape-signature").matches("v1=").count()
    }
}
