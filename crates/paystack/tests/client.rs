//! The client against servers that misbehave in ways Paystack does not.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use paystack::{Client, ClientConfig, Error, ListTransactions};
use secrecy::SecretString;

/// Serves `answer` for every request, counts the requests, and verifies once.
async fn verify_against<A>(answer: A) -> (Result<paystack::Transaction, Error>, usize)
where
    A: Fn(usize) -> Response + Clone + Send + Sync + 'static,
{
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let handler = move || {
        let response = answer(counter.fetch_add(1, Ordering::SeqCst));
        async move { response }
    };
    let router = Router::new().fallback(get(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let result = client(base_url).verify("a-1").await;
    (result, count.load(Ordering::SeqCst))
}

fn client(base_url: String) -> Client {
    let config = ClientConfig::new(SecretString::from("sk_test_x"));
    Client::new(ClientConfig { base_url, ..config }).unwrap()
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (result, requests) = verify_against(|_| Redirect::temporary("/elsewhere").into_response()).await;
    assert!(matches!(result, Err(Error::Rejected { http_status: 307, .. })), "{result:?}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let (result, _) = verify_against(|_| vec![b' '; 3 * 1024 * 1024].into_response()).await;
    assert!(matches!(result, Err(Error::Decode(_))), "{result:?}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error_not_a_payment() {
    let (result, _) = verify_against(|_| "<html>Welcome</html>".into_response()).await;
    assert!(matches!(result, Err(Error::Decode(_))), "{result:?}");
    let (result, _) = verify_against(|_| r#"{"status":true,"data":{}}"#.into_response()).await;
    assert!(matches!(result, Err(Error::Decode(_))), "{result:?}");
    let (result, _) = verify_against(|_| r#"{"status":"false","message":"No"}"#.into_response()).await;
    assert!(matches!(result, Err(Error::Rejected { http_status: 200, .. })), "{result:?}");
}

#[tokio::test]
async fn only_paystacks_own_words_make_a_reference_unknown() {
    let not_found = |body: &'static str| verify_against(move |_| (StatusCode::NOT_FOUND, body).into_response());
    let old = r#"{"status":false,"message":"Transaction reference not found"}"#;
    assert!(matches!(not_found(old).await.0, Err(Error::NotFound)));
    let coded = r#"{"status":false,"message":"No","code":"transaction_not_found"}"#;
    assert!(matches!(not_found(coded).await.0, Err(Error::NotFound)));
    // Some server in between: it says nothing about the payment.
    let (result, requests) = not_found("<h1>404 Not Found</h1>").await;
    assert!(matches!(result, Err(Error::Rejected { http_status: 404, .. })), "{result:?}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    // Announces more than it sends, so that the body breaks off.
    let broken = || ([("content-length", "100")], "{").into_response();
    let (result, requests) = verify_against(move |_| broken()).await;
    assert!(matches!(result, Err(Error::Network(_))), "{result:?}");
    assert_eq!(requests, 3);

    let data = r#"{"id":1,"status":"success","reference":"a-1","amount":1,"currency":"NGN"}"#;
    let whole = move || format!(r#"{{"status":true,"data":{data}}}"#).into_response();
    let answer = move |request| if request < 2 { broken() } else { whole() };
    let (result, requests) = verify_against(answer).await;
    assert_eq!(result.unwrap().reference, "a-1");
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn nobody_listening_is_a_network_error() {
    // Bound and dropped: a port that nobody serves.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(base_url).list(&ListTransactions::default()).await.unwrap_err();
    assert!(matches!(error, Error::Network(_)) && error.is_transient(), "{error:?}");
}
