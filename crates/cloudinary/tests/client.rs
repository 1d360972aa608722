//! The client against servers that misbehave in ways Cloudinary does not.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use cloudinary::{
    Client, ClientConfig, DeliveryType, Destroyed, Error, ImageFormat, PublicId, ResourceType, UploadOptions,
};
use secrecy::SecretString;

const SECRET: &str = "hush-hush";

/// Serves `answer` for every request, counts the requests, and destroys once.
async fn destroy_against<A>(answer: A) -> (Result<Destroyed, Error>, usize)
where
    A: Fn() -> Response + Clone + Send + Sync + 'static,
{
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let handler = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let response = answer();
        async move { response }
    };
    let router = Router::new().fallback(post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let result = client(base_url).destroy(ResourceType::Image, &id(), DeliveryType::Upload, false).await;
    (result, count.load(Ordering::SeqCst))
}

fn id() -> PublicId {
    PublicId::new("products/shirt").unwrap()
}

fn config() -> ClientConfig {
    ClientConfig::new("demo", "1234", SecretString::from(SECRET))
}

fn client(base_url: String) -> Client {
    Client::new(ClientConfig { base_url, ..config() }).unwrap()
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (result, requests) = destroy_against(|| Redirect::temporary("/elsewhere").into_response()).await;
    assert!(matches!(result, Err(Error::Rejected { http_status: 307, .. })), "{result:?}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let (result, _) = destroy_against(|| vec![b' '; 300 * 1024].into_response()).await;
    assert!(matches!(result, Err(Error::Decode(_))), "{result:?}");
    let huge = || (StatusCode::BAD_REQUEST, [("x-cld-error", "No")], vec![b' '; 300 * 1024]).into_response();
    let (result, _) = destroy_against(huge).await;
    assert!(matches!(&result, Err(Error::Rejected { message, .. }) if message == "No"), "{result:?}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error_not_a_success() {
    for body in ["<html>Welcome</html>", "{}", r#"{"result":"perhaps"}"#, r#"{"result":1}"#, ""] {
        let (result, _) = destroy_against(move || body.into_response()).await;
        assert!(matches!(result, Err(Error::Decode(_))), "{body}: {result:?}");
    }
}

#[tokio::test]
async fn the_text_of_a_refusal_comes_from_the_body_or_the_header_and_is_short() {
    let rejected = |result: Result<Destroyed, Error>| match result {
        Err(Error::Rejected { http_status: 400, message }) => message,
        other => panic!("{other:?}"),
    };
    let refuse = |header: &'static str, body: String| {
        destroy_against(move || (StatusCode::BAD_REQUEST, [("x-cld-error", header)], body.clone()).into_response())
    };
    let told = r#"{"error":{"message":"Missing\nname"}}"#;
    assert_eq!(rejected(refuse("Header", told.to_owned()).await.0), "Missingname");
    assert_eq!(rejected(refuse("Header", "<h1>".to_owned()).await.0), "Header");
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "a".repeat(10_000));
    assert_eq!(rejected(refuse("Header", long).await.0).len(), 500);
    let silent = || StatusCode::BAD_REQUEST.into_response();
    assert_eq!(rejected(destroy_against(silent).await.0), "no message");
}

#[tokio::test]
async fn a_call_is_sent_once_even_if_the_connection_breaks() {
    // Announces more than it sends, so that the body breaks off.
    let (result, requests) = destroy_against(|| ([("content-length", "100")], "{").into_response()).await;
    assert!(matches!(result, Err(Error::Network(_))), "{result:?}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn nobody_listening_is_a_network_error() {
    // Bound and dropped: a port that nobody serves.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(base_url);
    let file = vec![0; 10].into();
    let error = client.upload(file, ImageFormat::Png, &UploadOptions::new(id())).await.unwrap_err();
    assert!(matches!(error, Error::Network(_)) && error.is_transient(), "{error:?}");
    let shown = format!("{client:?} {error:?} {error} {:?}", config());
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_client_needs_web_addresses_and_credentials() {
    let refused = |config: ClientConfig| {
        let error = Client::new(config).err()?;
        let told = error.to_string();
        assert!(matches!(error, Error::Configuration(_)) && !told.contains(SECRET), "{told}");
        Some(told)
    };
    assert_eq!(refused(config()), None);
    for url in ["", "api.cloudinary.com", "ftp://a.example", "https://u:p@a.example", "https://a.example?a=b"] {
        let told = refused(ClientConfig { base_url: url.to_owned(), ..config() });
        assert!(told.is_some_and(|told| told.contains("base URL")), "{url}");
        let told = refused(ClientConfig { delivery_url: url.to_owned(), ..config() });
        assert!(told.is_some_and(|told| told.contains("delivery URL")), "{url}");
    }
    for text in ["", "a b", "a/b", "a:b", "<key>"] {
        assert!(refused(ClientConfig { cloud_name: text.to_owned(), ..config() }).is_some(), "{text}");
        assert!(refused(ClientConfig { api_key: text.to_owned(), ..config() }).is_some(), "{text}");
    }
    for secret in ["", "a\nb", "a b", "é"] {
        assert!(refused(ClientConfig { api_secret: secret.into(), ..config() }).is_some(), "{secret}");
    }
}
