//! A bucket that keeps what it is given, checks every signature (version 4, in the address), and fails on demand.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use agape::platform::config::Config;
use agape::platform::crypto::sha256;
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

const REGION: &str = "eu-west-1";
const ACCESS_KEY: &str = "AKIATEST";
const SECRET_KEY: &str = "a secret of tests";

/// What the next request meets instead of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// This status.
    Status(u16),
    /// Nothing, ever.
    Silence,
}

#[derive(Default)]
struct Bucket {
    objects: HashMap<String, (Bytes, String)>,
    faults: VecDeque<Fault>,
    /// Method and path of each request.
    requests: Vec<String>,
}

/// A running bucket named `pictures`.
#[derive(Clone)]
pub struct FakeS3 {
    pub address: SocketAddr,
    bucket: Arc<Mutex<Bucket>>,
}

impl FakeS3 {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), bucket: Arc::default() };
        let router = Router::new().fallback(serve).with_state(fake.clone());
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    /// Lets a shop keep its pictures here.
    pub fn configure(&self, config: &mut Config) {
        config.media.provider = "s3".into();
        config.media.s3_endpoint = format!("http://{}", self.address);
        config.media.s3_region = REGION.into();
        config.media.s3_bucket = "pictures".into();
        config.media.s3_access_key = ACCESS_KEY.into();
        config.media.s3_secret_key = SECRET_KEY.into();
        config.media.timeout_seconds = 1;
    }

    pub fn fail(&self, faults: &[Fault]) {
        self.bucket.lock().unwrap().faults.extend(faults);
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.bucket.lock().unwrap().objects.keys().cloned().collect();
        names.sort();
        names
    }

    /// Puts an object past every signature.
    pub fn put(&self, name: &str, content: &[u8], content_type: &str) {
        let object = (Bytes::copy_from_slice(content), content_type.to_owned());
        self.bucket.lock().unwrap().objects.insert(name.to_owned(), object);
    }

    pub fn object(&self, name: &str) -> Option<(Bytes, String)> {
        self.bucket.lock().unwrap().objects.get(name).cloned()
    }

    /// How many requests of this method came for an object.
    pub fn count(&self, method: &str, name: &str) -> usize {
        let request = format!("{method} {name}");
        self.bucket.lock().unwrap().requests.iter().filter(|known| **known == request).count()
    }
}

async fn serve(State(fake): State<FakeS3>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let Some(name) = parts.uri.path().strip_prefix("/pictures/").map(str::to_owned) else {
        return (StatusCode::NOT_FOUND, "NoSuchBucket").into_response();
    };
    let fault = {
        let mut bucket = fake.bucket.lock().unwrap();
        bucket.requests.push(format!("{} {name}", parts.method));
        bucket.faults.pop_front()
    };
    match fault {
        Some(Fault::Status(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Silence) => std::future::pending::<()>().await,
        None => {}
    }
    if !is_signed(&parts.method, &parts.uri, &parts.headers) {
        return (StatusCode::FORBIDDEN, "SignatureDoesNotMatch").into_response();
    }
    let mut bucket = fake.bucket.lock().unwrap();
    match parts.method {
        Method::PUT => {
            let content_type = parts.headers["content-type"].to_str().unwrap().to_owned();
            bucket.objects.insert(name, (bytes, content_type));
            StatusCode::OK.into_response()
        }
        Method::GET => match bucket.objects.get(&name) {
            Some((bytes, _)) => bytes.clone().into_response(),
            None => (StatusCode::NOT_FOUND, "NoSuchKey").into_response(),
        },
        Method::DELETE => {
            bucket.objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Computes the signature as Amazon does and compares it.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
fn is_signed(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let value = |name: &str| {
        let pair = query.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.unwrap_or_default().replace("%2F", "/").replace("%3B", ";")
    };
    let date = value("X-Amz-Date");
    let scope = format!("{}/{REGION}/s3/aws4_request", date.get(..8).unwrap_or_default());
    let known = value("X-Amz-Algorithm") == "AWS4-HMAC-SHA256"
        && value("X-Amz-Credential") == format!("{ACCESS_KEY}/{scope}")
        && value("X-Amz-Expires").parse().is_ok_and(|seconds: u32| (1..=604_800).contains(&seconds));
    let signed = value("X-Amz-SignedHeaders");
    let mut canonical = format!("{method}\n{}\n", uri.path());
    let unsigned: Vec<&str> = query.iter().filter(|pair| !pair.starts_with("X-Amz-Signature=")).copied().collect();
    canonical += &format!("{}\n", unsigned.join("&"));
    for name in signed.split(';') {
        canonical += &format!("{name}:{}\n", headers.get(name).map_or("", |value| value.to_str().unwrap().trim()));
    }
    canonical += &format!("\n{signed}\nUNSIGNED-PAYLOAD");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(sha256(canonical.as_bytes())));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in [date.get(..8).unwrap_or_default(), REGION, "s3", "aws4_request"] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    known && signed.split(';').any(|name| name == "host") && value("X-Amz-Signature") == hex::encode(expected.as_ref())
}
