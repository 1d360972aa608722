//! A payment provider whose list can be bent: items that move between pages, pages that fail, answers that make no sense.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

/// What happens once a page was given.
type Then = Box<dyn FnMut(u64, &mut Vec<Value>) + Send>;

#[derive(Default)]
struct Inner {
    /// The newest first.
    transactions: Vec<Value>,
    then: Option<Then>,
    /// Pages from this one on are not given.
    down_from: Option<u64>,
    nonsense: bool,
    asked: Vec<u64>,
}

/// A server that lists transactions.
#[derive(Clone)]
pub struct FakePaystack {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

/// A transaction of the fake.
pub fn listed(id: u64, reference: &str, status: &str, amount: i64) -> Value {
    json!({
        "id": id, "domain": "test", "status": status, "reference": reference, "amount": amount, "currency": "NGN",
        "fees": 100, "created_at": "2026-11-28T10:00:00.000Z", "paid_at": "2026-11-28T10:01:00.000Z", "metadata": "",
        "authorization": {}, "customer": {},
    })
}

impl FakePaystack {
    pub async fn start(transactions: Vec<Value>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner { transactions, ..Inner::default() }));
        let router = Router::new()
            .route("/transaction", get(list))
            .route("/transaction/verify/{reference}", get(verify))
            .route("/refund", get(refunds))
            .with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner }
    }

    /// Lets this happen to the list each time that a page was given.
    pub fn then(&self, then: impl FnMut(u64, &mut Vec<Value>) + Send + 'static) {
        self.inner.lock().unwrap().then = Some(Box::new(then));
    }

    /// From now on pages from this one on are answered with 503; none: all are given.
    pub fn down_from(&self, page: Option<u64>) {
        self.inner.lock().unwrap().down_from = page;
    }

    /// From now on answers are no JSON.
    pub fn talk_nonsense(&self) {
        self.inner.lock().unwrap().nonsense = true;
    }

    /// The pages that were asked for, in their order.
    pub fn asked(&self) -> Vec<u64> {
        self.inner.lock().unwrap().asked.clone()
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    page: u64,
    per_page: usize,
}

async fn list(State(inner): State<Arc<Mutex<Inner>>>, Query(part): Query<Part>) -> Response {
    let mut inner = inner.lock().unwrap();
    inner.asked.push(part.page);
    if inner.nonsense {
        return "nonsense".into_response();
    }
    if inner.down_from.is_some_and(|from| part.page >= from) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let total = inner.transactions.len();
    let skipped = usize::try_from(part.page - 1).unwrap() * part.per_page;
    let data: Vec<_> = inner.transactions.iter().skip(skipped).take(part.per_page).cloned().collect();
    let meta = json!({"total": total, "page": part.page, "perPage": part.per_page, "pageCount": total.div_ceil(part.per_page)});
    let Inner { then, transactions, .. } = &mut *inner;
    if let Some(then) = then {
        then(part.page, transactions);
    }
    axum::Json(json!({"status": true, "message": "ok", "data": data, "meta": meta})).into_response()
}

/// Nothing goes back.
async fn refunds() -> Response {
    let meta = json!({"total": 0, "page": 1, "perPage": 100, "pageCount": 0});
    axum::Json(json!({"status": true, "message": "ok", "data": [], "meta": meta})).into_response()
}

async fn verify(State(inner): State<Arc<Mutex<Inner>>>, Path(reference): Path<String>) -> Response {
    let inner = inner.lock().unwrap();
    let found = inner.transactions.iter().find(|transaction| transaction["reference"] == reference.as_str());
    match found {
        Some(data) => axum::Json(json!({"status": true, "message": "ok", "data": data})).into_response(),
        None => {
            let body =
                json!({"status": false, "message": "Transaction reference not found", "code": "transaction_not_found"});
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
    }
}
