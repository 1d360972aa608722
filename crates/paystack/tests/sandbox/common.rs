//! A sandbox, a webhook receiver and other servers on ports of their own.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use paystack::sandbox::{Sandbox, SandboxConfig};
use paystack::{Client, ClientConfig, InitializeTransaction, Metadata, Reference, Transaction, webhook};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const KEY: &str = "sk_test_of_these_tests";
/// No wait in these tests takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn key() -> SecretString {
    SecretString::from(KEY)
}

/// Serves `router` on a free port and returns its address.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Starts a sandbox nested under `/pay` and returns its public URL.
pub(crate) async fn start_sandbox(webhook_url: Option<String>, state_file: Option<PathBuf>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("http://{}/pay", listener.local_addr().unwrap());
    let sandbox = Sandbox::new(SandboxConfig {
        secret_key: key(),
        public_url: public_url.clone(),
        webhook_url,
        state_file,
        store_name: "Kente & Co <Accra>".to_owned(),
    })
    .unwrap();
    let router = Router::new().nest("/pay", sandbox.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    public_url
}

/// A client with the right key and a short timeout.
pub(crate) fn client(base_url: &str) -> Client {
    let config = ClientConfig::new(key());
    Client::new(ClientConfig { base_url: base_url.to_owned(), timeout: DEADLINE, ..config }).unwrap()
}

/// A request for ₦4,000.00 under `reference`.
pub(crate) fn request(reference: &str) -> InitializeTransaction {
    InitializeTransaction {
        email: "ama@example.com".to_owned(),
        amount: 400_000,
        currency: "NGN".to_owned(),
        reference: Reference::new(reference).unwrap(),
        channels: Vec::new(),
        callback_url: Some("http://shop.example/paid?lang=en".to_owned()),
        metadata: Metadata::default(),
    }
}

/// A browser that follows no redirect, so that the test sees where it leads.
pub(crate) fn browser() -> reqwest::Client {
    let none = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(none).no_proxy().build().unwrap()
}

/// Sends one of the payment page's forms; the status and where it leads.
pub(crate) async fn submit(page: &str, form: &'static str) -> (StatusCode, String) {
    let request = browser().post(page).header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.unwrap();
    let location = response.headers().get("location");
    let location = location.map(|url| url.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), location)
}

/// Calls one of the sandbox's control endpoints.
pub(crate) async fn control(sandbox: &str, path: &str, body: Value) -> StatusCode {
    controlled(sandbox, path, body).await.0
}

/// The same, with the answer's data.
pub(crate) async fn controlled(sandbox: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let url = format!("{sandbox}/_control/{path}");
    let response = browser().post(url).bearer_auth(KEY).json(&body).send().await.unwrap();
    (response.status(), response.json::<Value>().await.unwrap()["data"].take())
}

/// A transaction that is paid with one of the page's means.
pub(crate) async fn paid(sandbox: &str, reference: &str, card: &str) -> Transaction {
    client(sandbox).initialize(&request(reference)).await.unwrap();
    let body = json!({ "reference": reference, "action": "pay", "card": card });
    assert_eq!(control(sandbox, "payment", body).await, 200);
    client(sandbox).verify(reference).await.unwrap()
}

/// Waits until `look` gives something.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    in_time(async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A receiver of webhooks that first refuses some with 503.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: mpsc::UnboundedReceiver<(String, Bytes)>,
}

impl Receiver {
    pub(crate) async fn start(refusals: usize) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let left = Arc::new(AtomicUsize::new(refusals));
        let receive = move |headers: HeaderMap, body: Bytes| {
            let refuse = |left: usize| left.checked_sub(1);
            let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok();
            let signature = headers[webhook::SIGNATURE_HEADER].to_str().unwrap().to_owned();
            if !refused {
                sender.send((signature, body)).unwrap();
            }
            async move { if refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK } }
        };
        let url = serve(Router::new().route("/hook", post(receive))).await;
        Self { url: format!("{url}/hook"), received }
    }

    /// The next webhook, whose signature must be right.
    pub(crate) async fn next(&mut self) -> webhook::Event {
        let (signature, body) = in_time(self.received.recv()).await.unwrap();
        assert!(webhook::verify_signature(&body, &signature, &[&key()]));
        webhook::Event::parse(&body).unwrap()
    }

    /// Whether nothing has arrived that `next` did not return.
    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }
}

/// Waits for `future`, not for ever.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}
