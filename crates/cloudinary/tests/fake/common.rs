//! A fake on a port of its own, and pictures.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use bytes::Bytes;
use cloudinary::fake::{Clock, Fake, FakeConfig};
use cloudinary::{Client, ClientConfig, PublicId, UploadOptions};
use reqwest::multipart::{Form, Part};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) const CLOUD: &str = "demo";
pub(crate) const KEY: &str = "1234567890";
pub(crate) const SECRET: &str = "secret_of_these_tests";
/// The fake's time.
pub(crate) const NOW: i64 = 1_800_000_000;
/// The largest picture that the fake takes.
pub(crate) const MAX: usize = 4000;
/// What the fake keeps in all.
pub(crate) const MAX_KEPT: usize = 8000;

/// A running fake, nested under `/media`, whose time stands still.
pub(crate) struct Running {
    pub(crate) fake: Fake,
    pub(crate) url: String,
}

pub(crate) async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/media", listener.local_addr().unwrap());
    let config = FakeConfig::new(CLOUD, KEY, SecretString::from(SECRET), url.clone());
    let fake = Fake::new(FakeConfig { max_file: MAX, max_kept: MAX_KEPT, clock: Clock::new(|| NOW), ..config });
    let router = Router::new().nest("/media", fake.router());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Running { fake, url }
}

impl Running {
    pub(crate) fn config(&self) -> ClientConfig {
        let config = ClientConfig::new(CLOUD, KEY, SecretString::from(SECRET));
        ClientConfig { base_url: self.url.clone(), delivery_url: self.url.clone(), ..config }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(ClientConfig { timeout: Duration::from_secs(10), ..self.config() }).unwrap()
    }

    /// Sets the faults.
    pub(crate) async fn faults(&self, faults: Value) -> StatusCode {
        let url = format!("{}/_control/faults", self.url);
        browser().post(url).basic_auth(KEY, Some(SECRET)).json(&faults).send().await.unwrap().status()
    }
}

/// A client that knows no credentials.
pub(crate) fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Posts a form as a browser does; the status and the answer.
pub(crate) async fn post(url: &str, fields: &BTreeMap<String, String>, file: Option<Bytes>) -> (StatusCode, Value) {
    let mut form = Form::new();
    for (name, value) in fields {
        form = form.text(name.clone(), value.clone());
    }
    if let Some(file) = file {
        form = form.part("file", Part::bytes(file.to_vec()).file_name("My shirt.png"));
    }
    let response = browser().post(url).multipart(form).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let status = response.status();
    let header = response.headers().get("x-cld-error").map(|text| text.to_str().unwrap().to_owned());
    let answer: Value = response.json().await.unwrap();
    assert_eq!(header.as_deref(), answer.pointer("/error/message").map(|text| text.as_str().unwrap()));
    (status, answer)
}

pub(crate) fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

pub(crate) fn id(text: &str) -> PublicId {
    PublicId::new(text).unwrap()
}

pub(crate) fn options(public_id: &str) -> UploadOptions {
    UploadOptions::new(id(public_id))
}

/// The head of a PNG of this size, which is all that the fake reads, and `fill` bytes.
pub(crate) fn png(width: u8, height: u8, fill: usize) -> Bytes {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    file.extend([0, 0, 0, width, 0, 0, 0, height, 8, 6, 0, 0, 0]);
    file.extend(vec![0; fill]);
    file.into()
}

pub(crate) fn gif() -> Bytes {
    Bytes::from_static(b"GIF89a\x04\0\x03\0\0\0\0")
}
