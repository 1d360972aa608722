//! The sandbox's API: what it refuses and what it lists.

use crate::common::{KEY, browser, client, key, request, start_sandbox, submit};
use chrono::{Duration, Utc};
use paystack::{Client, ClientConfig, Error, InitializeTransaction, ListTransactions, TransactionStatus};
use secrecy::SecretString;
use serde_json::{Value, json};

#[tokio::test]
async fn a_wrong_key_is_refused_and_shown_nowhere() {
    let url = start_sandbox(None, None).await;
    let secret_key = SecretString::from("sk_test_other");
    let config = ClientConfig { base_url: url.clone(), ..ClientConfig::new(secret_key) };
    let client = Client::new(config.clone()).unwrap();
    let error = client.verify("a-1").await.unwrap_err();
    assert!(
        matches!(&error, Error::Rejected { http_status: 401, message, .. } if message == "Invalid key"),
        "{error:?}"
    );
    assert!(!error.is_transient());
    let shown = format!("{config:?} {client:?} {error:?} {error}");
    assert!(!shown.contains("sk_test_other"), "{shown}");

    for path in ["transaction/verify/a-1", "transaction", "transaction/1"] {
        let response = browser().get(format!("{url}/{path}")).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    let control = browser().post(format!("{url}/_control/faults")).json(&json!({}));
    assert_eq!(control.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_reference_is_used_once_and_an_unknown_one_is_not_found() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    client.initialize(&request("a-1")).await.unwrap();
    let again = client.initialize(&request("a-1")).await.unwrap_err();
    assert!(again.is_duplicate_reference(), "{again:?}");
    assert!(matches!(again, Error::Rejected { http_status: 400, .. }));

    for unknown in ["a-2", "", ".", "..", "a b/c?d"] {
        let error = client.verify(unknown).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{unknown}: {error:?}");
    }
}

#[tokio::test]
async fn bad_parameters_get_the_documented_error() {
    let url = start_sandbox(None, None).await;
    let post = |body: Value| {
        let url = format!("{url}/transaction/initialize");
        async move {
            let request = browser().post(url).bearer_auth(KEY).json(&body);
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let with = |key: &str, value: Value| {
        let mut body = json!({ "email": "ama@example.com", "amount": 20_000, "currency": "NGN" });
        body[key] = value;
        body
    };
    for (body, code) in [
        (json!({}), "missing_params"),
        (json!([]), "missing_params"),
        (json!({ "amount": 20_000 }), "missing_params"),
        (with("email", json!("ama")), "invalid_params"),
        (with("amount", json!("200.50")), "invalid_params"),
        (with("amount", json!(200.5)), "invalid_params"),
        (with("amount", json!(0)), "invalid_params"),
        (with("amount", json!(-5000)), "invalid_params"),
        (with("amount", json!(4999)), "invalid_params"),
        (with("amount", json!(1_000_000_001)), "invalid_params"),
        (with("currency", json!("EUR")), "unsupported_currency"),
        (with("reference", json!("a_1")), "invalid_params"),
        (with("reference", json!("a-1 ")), "invalid_params"),
        (with("reference", json!("a".repeat(51))), "invalid_params"),
        (with("callback_url", json!("javascript:alert(1)")), "invalid_params"),
    ] {
        let (status, answer) = post(body.clone()).await;
        assert_eq!((status, answer["code"].as_str()), (400, Some(code)), "{body}");
        assert_eq!(answer["status"], false);
        assert_eq!(answer["type"], "validation_error");
        assert!(answer["message"].is_string() && answer["meta"]["nextStep"].is_string());
    }

    // A decimal string is as good as an integer, and a reference is made up if absent.
    let (status, answer) = post(with("amount", json!("20000"))).await;
    assert_eq!((status, &answer["status"]), (200, &json!(true)));
    let made_up = answer["data"]["reference"].as_str().unwrap();
    assert_eq!(client(&url).verify(made_up).await.unwrap().amount, 20_000);
}

#[tokio::test]
async fn the_list_is_paged_and_filtered() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    for reference in ["l-1", "l-2", "l-3"] {
        let page = client.initialize(&request(reference)).await.unwrap().authorization_url;
        if reference == "l-2" {
            submit(&page, "action=pay").await;
        }
    }
    let list = |query: ListTransactions| {
        let client = client.clone();
        async move {
            let page = client.list(&query).await.unwrap();
            let references = page.items.iter().map(|item| item.reference.clone());
            (references.collect::<Vec<_>>(), page.total, page.page, page.page_count)
        }
    };
    let all = ListTransactions::default();

    let (references, total, page, pages) = list(all.clone()).await;
    assert_eq!(references, ["l-3", "l-2", "l-1"]);
    assert_eq!((total, page, pages), (Some(3), Some(1), Some(1)));

    let second = ListTransactions { page: Some(2), per_page: Some(2), ..all.clone() };
    let (references, total, page, pages) = list(second).await;
    assert_eq!(references, ["l-1"]);
    assert_eq!((total, page, pages), (Some(3), Some(2), Some(2)));

    let paid = ListTransactions { status: Some(TransactionStatus::Success), ..all.clone() };
    assert_eq!(list(paid).await.0, ["l-2"]);

    let now = Utc::now();
    let hour = Duration::hours(1);
    let recent = ListTransactions { from: Some(now - hour), to: Some(now + hour), ..all.clone() };
    assert_eq!(list(recent).await.0.len(), 3);
    let future = ListTransactions { from: Some(now + hour), ..all };
    assert_eq!(list(future).await.0.len(), 0);

    for query in ["page=0", "perPage=x", "from=yesterday"] {
        let get = browser().get(format!("{url}/transaction?{query}")).bearer_auth(KEY);
        assert_eq!(get.send().await.unwrap().status(), 400, "{query}");
    }
}

#[tokio::test]
async fn a_transaction_is_found_by_its_id() {
    let url = start_sandbox(None, None).await;
    let client = client(&url);
    let ghana = InitializeTransaction { currency: "GHS".to_owned(), ..request("g-1") };
    client.initialize(&ghana).await.unwrap();
    let id = client.verify("g-1").await.unwrap().id;
    let get = |id: u64| browser().get(format!("{url}/transaction/{id}")).bearer_auth(KEY).send();
    let answer: Value = get(id).await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["reference"], "g-1");
    assert_eq!(answer["data"]["currency"], "GHS");
    // Times as Paystack writes them: UTC, milliseconds, Z.
    let created_at = answer["data"]["created_at"].as_str().unwrap();
    assert_eq!((created_at.len(), created_at.ends_with('Z')), (24, true), "{created_at}");
    assert_eq!(get(id + 1).await.unwrap().status(), 404);
}

#[test]
fn a_client_needs_a_web_address_and_a_key() {
    let new = |base_url: &str, secret_key| {
        Client::new(ClientConfig { base_url: base_url.to_owned(), ..ClientConfig::new(secret_key) })
    };
    for base_url in ["", "api.paystack.co", "file:///etc", "ftp://api.paystack.co"] {
        assert!(matches!(new(base_url, key()), Err(Error::Configuration(_))), "{base_url}");
    }
    let base_url = "https://api.paystack.co";
    for secret_key in ["", "sk\nx"] {
        assert!(matches!(new(base_url, secret_key.into()), Err(Error::Configuration(_))));
    }
    assert!(new(base_url, key()).is_ok());
}
