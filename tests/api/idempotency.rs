//! Every POST that creates or charges takes an `Idempotency-Key`, or says why a repeated request does no harm.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, PAYSTACK_KEY, TestApp};

/// The others, each with why it needs none.
const WITHOUT_KEY: [(&str, &str); 47] = [
    // They write nothing.
    ("/coupons/preview", "writes nothing"),
    ("/orders/quote", "writes nothing"),
    ("/orders/track", "writes nothing"),
    ("/orders/track/invoice", "an order has one invoice"),
    // Once it is done, it is done: a repeated request is refused, or finds it so.
    ("/admin/disputes/{dispute}/resolve", "looks at the provider first whether the answer has arrived"),
    ("/admin/imports/{import}/cancel", "an import is cancelled once"),
    ("/admin/orders/{order}/cancel", "an order is cancelled once, and its money asked back in the same transaction"),
    ("/admin/payments/{payment}/accept", "money is decided about once"),
    ("/admin/payments/{payment}/refund", "money is decided about once"),
    ("/admin/reconciliation-findings/{finding}/resolve", "a finding is closed once"),
    ("/admin/refunds/{refund}/bank-details", "a refund waits for them once"),
    ("/admin/reviews/{review}/approve", "a review is decided once"),
    ("/admin/reviews/{review}/reject", "a review is decided once"),
    ("/admin/users/{user}/lock", "sets a state"),
    ("/admin/users/{user}/unlock", "sets a state"),
    ("/admin/webhook-events/{event}/replay", "an event settles nothing twice"),
    ("/orders/track/cancel", "an order is cancelled once"),
    ("/orders/{order}/cancel", "an order is cancelled once, and its money asked back in the same transaction"),
    ("/orders/{order}/returns/{return}/cancel", "a return is withdrawn once"),
    ("/privacy/erase", "an account is erased once"),
    ("/products/{product}/restore", "sets a state"),
    // What they make is there once, whoever makes it.
    ("/cart/acknowledge", "sets what the cart's owner has seen"),
    ("/cart/merge", "the guest's cart goes in the same transaction"),
    ("/payments/{payment}/verify", "a payment is settled once, whoever asks"),
    ("/privacy/consents", "the same answer twice is the same answer"),
    ("/products/{product}/back-in-stock", "one request a variant and address"),
    ("/products/{product}/images/fetch", "a picture is fetched until it is there"),
    ("/products/{product}/images/{image}/fetch", "a picture is fetched until it is there"),
    ("/webhooks/paystack", "the provider's own name of an event makes it one"),
    ("/wishlist", "a thing is wished for once"),
    ("/wishlist/{item}/move-to-cart", "the entry goes in the same transaction"),
    // What they send again, its receiver knows.
    ("/admin/webhooks/{webhook}/replay", "a receiver knows an event by its id"),
    ("/admin/webhooks/{webhook}/test", "a ping says nothing"),
    // Who signs in, or proves who he is. The answers have secrets of a session, which are kept nowhere.
    ("/auth/2fa/disable", "it is turned off once"),
    ("/auth/2fa/enable", "it is turned on once"),
    ("/auth/2fa/recovery-codes", "new codes take the place of the old ones"),
    ("/auth/2fa/setup", "a new secret takes the place of the old one"),
    ("/auth/change-password", "sets a state"),
    ("/auth/login", "each sign-in is a session of its own, which ends by itself"),
    ("/auth/login/2fa", "a first step is taken further once"),
    ("/auth/logout", "a session ends once"),
    ("/auth/password-reset", "a link works once"),
    ("/auth/password-reset-request", "such mails are few a minute, and the last link counts"),
    ("/auth/refresh", "a token is exchanged once; a used one ends the session"),
    ("/auth/register", "one account an address"),
    ("/auth/resend-verification", "such mails are few a minute, and the last link counts"),
    ("/auth/verify-email", "a link works once"),
];

#[test]
fn every_post_takes_a_key_or_needs_none() {
    let document: Value = serde_json::from_str(&agape::openapi::json().unwrap()).unwrap();
    let posts = document["paths"].as_object().unwrap().iter().filter(|(_, methods)| methods["post"].is_object());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (path, methods) in posts {
        let parameters = methods["post"]["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let takes = parameters.iter().any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header");
        let told = methods["post"]["responses"]["422"].is_object() && methods["post"]["responses"]["409"].is_object();
        assert!(!takes || told, "{path} does not tell of a key that runs, or was used for another request");
        let path = path.strip_prefix("/api/v1").unwrap();
        if takes { with.push(path) } else { without.push(path) }
    }
    for path in &without {
        let reason = WITHOUT_KEY.iter().find(|(known, _)| known == path);
        assert!(reason.is_some(), "POST {path} takes no Idempotency-Key, and WITHOUT_KEY does not say why");
    }
    for (path, _) in WITHOUT_KEY {
        assert!(without.contains(&path), "POST {path} is not there, or takes a key by now; take it off the table");
    }
    assert!(with.contains(&"/orders"));
}

/// A request that creates something, and how many there are of it.
struct Creation<'a> {
    path: String,
    token: &'a str,
    body: Value,
    other: Value,
    count: &'static str,
}

impl Creation<'_> {
    async fn send(&self, shop: &TestApp, key: &str, body: &Value) -> Answer {
        shop.post(&self.path).token(self.token).header("idempotency-key", key).json(body).send().await
    }
}

/// What is written once is answered to each who repeats it, one after the other and at once, byte for byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_creates_nothing_twice() {
    let shop = TestApp::with(|config| {
        config.webhooks.private_networks = vec!["127.0.0.1".parse().unwrap()];
        config.webhooks.poll_seconds = 60;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 90).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    let order = order["id"].as_str().unwrap();
    let reference = shop.database.text("select reference from payments").await.unwrap();
    let control = shop.post("//sandbox/paystack/_control/disputes").token(PAYSTACK_KEY);
    control.json(&json!({"reference": reference})).send().await.expect(200);
    let dispute =
        shop.wait_for("the dispute", || async { shop.database.text("select id::text from disputes").await }).await;
    shop.wait_for_jobs().await;
    let address = crate::support::address();
    let creations = [
        Creation {
            path: "/addresses".into(),
            token: &ama,
            body: json!({"label": "Home", "address": address}),
            other: json!({"label": "Work", "address": address}),
            count: "select count(*) from user_addresses",
        },
        Creation {
            path: format!("/admin/orders/{order}/notes"),
            token: &admin,
            body: json!({"text": "Rings twice"}),
            other: json!({"text": "Rings once"}),
            count: "select count(*) from order_events where note = 'Rings twice'",
        },
        Creation {
            path: format!("/admin/orders/{order}/mails"),
            token: &admin,
            body: json!({"kind": "confirmation"}),
            other: json!({"kind": "receipt"}),
            count: "select count(*) from emails where dedupe_key like '%/again/%'",
        },
        Creation {
            path: format!("/admin/disputes/{dispute}/notes"),
            token: &admin,
            body: json!({"text": "He has it"}),
            other: json!({"text": "He has it not"}),
            count: "select count(*) from dispute_notes",
        },
        Creation {
            path: "/admin/webhooks".into(),
            token: &admin,
            body: json!({"url": "http://127.0.0.1:9/one"}),
            other: json!({"url": "http://127.0.0.1:9/two"}),
            count: "select count(*) from webhook_endpoints",
        },
    ];
    for creation in &creations {
        let path = &creation.path;
        let first = creation.send(&shop, "k", &creation.body).await;
        assert!((200..300).contains(&first.status), "{path}: {}", first.text);
        assert_eq!(first.header("idempotency-replayed"), None, "{path}");
        let again = creation.send(&shop, "k", &creation.body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{path}");
        assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"), "{path}");
        creation.send(&shop, "k", &creation.other).await.expect_error(422, "VALIDATION_ERROR");
        assert_eq!(shop.database.count(creation.count).await, 1, "{path}");
        // Of those who come at once, each has the one answer, or is told that it is on its way.
        let at_once = join_all((0..6).map(|_| creation.send(&shop, "at once", &creation.body))).await;
        let given: Vec<_> = at_once.iter().filter(|answer| answer.status != 409).collect();
        assert!(!given.is_empty(), "{path}");
        for answer in given {
            let last = creation.send(&shop, "at once", &creation.body).await;
            assert_eq!((answer.status, &answer.text), (first.status, &last.text), "{path}");
        }
        assert_eq!(shop.database.count(creation.count).await, 2, "{path}");
    }
    // A key is its caller's, also where the answers are kept with the order that they are about: whoever else uses it is somebody else.
    let (merchant, finance) = (shop.staff(Role::Merchant).await, shop.staff(Role::Finance).await);
    for (creation, token) in [(&creations[1], &merchant), (&creations[2], &merchant), (&creations[3], &finance)] {
        let path = &creation.path;
        for replayed in [None, Some("true")] {
            let call = shop.post(path).token(token).header("idempotency-key", "k");
            let answer = call.json(&creation.body).send().await;
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
            assert_eq!(answer.header("idempotency-replayed").as_deref(), replayed, "{path}");
            assert_eq!(shop.database.count(creation.count).await, 3, "{path}");
        }
    }
    // The longest key fits.
    let (note, longest) = (&creations[1], "k".repeat(255));
    let (first, again) = (note.send(&shop, &longest, &note.body).await, note.send(&shop, &longest, &note.body).await);
    assert_eq!((first.status, &first.text), (201, &again.text));
    assert_eq!(shop.database.count(note.count).await, 4);
}

/// A payment is started once for a key: whoever repeats it gets the same attempt, also once that has paid; another order is refused, also
/// while the provider has not answered; and what a key is at work for is told. A key is its caller's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_payment_is_the_same_attempt() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 90).await;
    let ama = shop.customer("ama@example.com").await;
    let (order, other) = (shop.order(&ama, &product, 1).await, shop.order(&ama, &product, 2).await);
    let start = async |order: &Value, key: &str| {
        let call = shop.post("/payments/initialize").token(&ama).header("idempotency-key", key);
        call.json(&json!({"orderId": order["id"]})).send().await
    };
    shop.wait_for_jobs().await;
    let mut blocker = shop.database.pool.begin().await.unwrap();
    sqlx::query("select from orders for update").execute(&mut *blocker).await.unwrap();
    let meanwhile = async {
        shop.wait_for("the payment to wait for its order", || async {
            let waiting = "select count(*) from pg_stat_activity a
                           where wait_event_type = 'Lock' and datname = current_database()
                             and exists (select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted)";
            (shop.database.count(waiting).await > 0).then_some(())
        })
        .await;
        let answer = start(&order, "k").await;
        blocker.rollback().await.unwrap();
        answer
    };
    let (first, running) = tokio::join!(start(&order, "k"), meanwhile);
    running.expect_error(409, "CONFLICT");
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None), "{}", first.text);
    let same = async || {
        let again = start(&order, "k").await;
        assert_eq!((again.status, &again.text), (200, &first.text));
        assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    };
    same().await;
    start(&other, "k").await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from payments").await, 1);
    let ben = shop.customer("ben@example.com").await;
    let call = shop.post("/payments/initialize").token(&ben).header("idempotency-key", "k");
    call.json(&json!({"orderId": order["id"]})).send().await.expect_error(404, "NOT_FOUND");

    shop.pay(&first.body["data"]).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    same().await;
    start(&order, "l").await.expect_error(409, "CONFLICT");

    // What ended between the attempt and the provider's answer goes on with the same attempt.
    shop.wait_for_jobs().await;
    shop.sandbox_faults(&json!({"fail_next": {"status": 503, "count": 1}})).await;
    start(&other, "m").await.expect_error(503, "EXTERNAL_SERVICE_ERROR");
    let third = shop.order(&ama, &product, 1).await;
    start(&third, "m").await.expect_error(422, "VALIDATION_ERROR");
    let reference = shop.database.text("select reference from payments where status = 'created'").await.unwrap();
    let page = start(&other, "m").await;
    assert_eq!(page.header("idempotency-replayed"), None, "nothing was answered before");
    assert_eq!((page.status, &page.body["data"]["reference"]), (200, &json!(reference)));
    let again = start(&other, "m").await;
    assert_eq!((again.status, &again.text), (200, &page.text));
    assert_eq!(shop.database.count("select count(*) from payments").await, 2);
}

/// What has no body is known by its path: an order is put into the cart once, and a secret replaced once. The secret is not kept as
/// it is.
#[tokio::test]
async fn a_repeated_request_without_a_body_is_one() {
    let shop = TestApp::with(|config| {
        config.webhooks.private_networks = vec!["127.0.0.1".parse().unwrap()];
        config.webhooks.poll_seconds = 60;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 90).await;
    let ama = shop.customer("ama@example.com").await;
    let (order, other) = (shop.order(&ama, &product, 2).await, shop.order(&ama, &product, 1).await);
    let path = |order: &Value| format!("/orders/{}/reorder", order["id"].as_str().unwrap());
    let call = |order: &Value| shop.post(&path(order)).token(&ama).header("idempotency-key", "k").send();
    let first = call(&order).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(call(&order).await.text, first.text);
    call(&other).await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select quantity::bigint from cart_items").await, 2);

    let body = json!({"url": "http://127.0.0.1:9/one"});
    let made = shop.post("/admin/webhooks").token(&admin).json(&body).send().await.expect(201);
    let path = format!("/admin/webhooks/{}/secret", made["webhook"]["id"].as_str().unwrap());
    let call = || shop.post(&path).token(&admin).header("idempotency-key", "k").send();
    let (first, again) = (call().await, call().await);
    assert_eq!((first.status, &again.text), (200, &first.text));
    let secret = first.body["data"]["secret"].as_str().unwrap();
    assert_ne!(secret, made["secret"].as_str().unwrap());
    let kept = shop.database.text("select string_agg(body, ' ') from idempotency_keys").await.unwrap();
    assert!(!kept.contains(secret), "{kept}");
    // With another key it is another one.
    let call = shop.post(&path).token(&admin).header("idempotency-key", "l");
    assert_ne!(call.send().await.expect(200)["secret"], secret);
}
