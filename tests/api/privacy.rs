//! What people may ask of the shop about their data, and what the daily clean-up forgets by itself.

use agape::features::auth::{self, Role, current_code};
use agape::flows::retention::Retention;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::audit::assert_chain;
use crate::concurrency::assert_ledger;
use crate::support::{Answer, Call, Product, TestApp, address};

const AMA: &str = "ama@example.com";
const PASSWORD: &str = "Test@1234";
const IP: &str = "203.0.113.77";
const AGENT: &str = "PrivacyProbe/7.7";

async fn erase(shop: &TestApp, token: &str) -> Answer {
    shop.post("/privacy/erase").token(token).json(&json!({"password": PASSWORD})).send().await
}

/// The order of a guest under an address.
async fn guest_order(shop: &TestApp, email: &str, product: &Product) -> Value {
    let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": 1}],
                      "shippingAddress": address()});
    shop.post("/orders").json(&body).send().await.expect(201)["order"].clone()
}

/// Runs a statement with texts.
async fn run(shop: &TestApp, sql: &'static str, texts: &[&str]) {
    let mut query = sqlx::query(sql);
    for text in texts {
        query = query.bind((*text).to_owned());
    }
    query.execute(&shop.database.pool).await.unwrap();
}

/// The person has confirmed the address of the account to which he is signed in.
async fn verify(shop: &TestApp, email: &str) {
    let proven = "update users set email_verified_at = created_at, owner_proven_at = created_at where email = $1";
    run(shop, proven, &[email]).await;
}

/// Turns the second factor on. Gives its secret and the recovery codes.
async fn turn_on_two_factor(shop: &TestApp, token: &str) -> (String, Vec<String>) {
    let body = json!({"password": PASSWORD});
    let setup = shop.post("/auth/2fa/setup").token(token).json(&body).send().await.expect(200);
    let secret = setup["secret"].as_str().unwrap().to_owned();
    let code = current_code(&secret, shop.app.clock.now()).unwrap();
    let data = shop.post("/auth/2fa/enable").token(token).json(&json!({"code": code})).send().await.expect(200);
    let codes = data["recoveryCodes"].as_array().unwrap();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

/// The columns of all tables in which a text stands, whatever its case. Bytes are read as text.
pub async fn places(shop: &TestApp, text: &str) -> Vec<String> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select c.table_name::text, c.column_name::text, c.data_type::text
         from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
         where table_schema = 'public' and t.table_type = 'BASE TABLE' order by 1, 2",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    let has = |table: &str, column: &str| columns.iter().any(|(t, c, _)| t == table && c == column);
    assert!(has("users", "email") && has("river_job", "args") && has("webhook_events", "body"), "{columns:?}");
    let parts: Vec<String> = columns
        .iter()
        .map(|(table, column, kind)| {
            let value = match kind.as_str() {
                "bytea" => format!("encode(\"{column}\", 'escape')"),
                _ => format!("\"{column}\"::text"),
            };
            format!(
                "select '{table}.{column}'::text
                 where exists (select from \"{table}\" where strpos(lower({value}), lower($1::text)) > 0)"
            )
        })
        .collect();
    sqlx::query_scalar(AssertSqlSafe(parts.join(" union all ")))
        .bind(text)
        .fetch_all(&shop.database.pool)
        .await
        .unwrap()
}

/// Everything that is about people, as one number: equal before and after when nothing was changed.
async fn everything(shop: &TestApp) -> Vec<Option<String>> {
    let mut sums = Vec::new();
    for table in [
        "users",
        "sessions",
        "refresh_tokens",
        "user_addresses",
        "consents",
        "carts",
        "cart_items",
        "wishlist_items",
        "orders",
        "order_items",
        "order_events",
        "fulfilments",
        "fulfilment_items",
        "returns",
        "return_items",
        "payments",
        "refunds",
        "disputes",
        "dispute_notes",
        "webhook_events",
        "emails",
        "idempotency_keys",
        "audit_log",
        "audit_parts",
        "stock_levels",
        "stock_movements",
    ] {
        let sql = format!("select md5(string_agg(t::text, ' ' order by t::text)) from {table} t");
        sums.push(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&shop.database.pool).await.unwrap());
    }
    sums
}

// What a person may take away.

/// One file has all of it, and neither a secret nor a word about somebody else. That it was taken is on record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_takes_all_data_away() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 9).await, shop.product(&admin, "BATIK", 500, 9).await);
    let kofi = json!({"email": "kofi@example.com", "password": PASSWORD, "name": "Kofi Boateng"});
    let kofi = shop.post("/auth/register").json(&kofi).send().await.expect(201);
    let (kofi_id, kofi) = (kofi["user"]["id"].as_str().unwrap(), kofi["accessToken"].as_str().unwrap());
    let mut kofis = address();
    kofis["addressLine1"] = json!("9 Kofi Lane");
    let body = json!({"label": "Kofi's", "address": kofis});
    shop.post("/addresses").token(kofi).json(&body).send().await.expect(201);
    let kofis_order = shop.order(kofi, &kente, 1).await;

    let body = json!({"email": AMA, "password": PASSWORD, "name": "Ama Mensah", "phone": "0803 123 4567"});
    let call = shop.post("/auth/register").header("x-token-transport", "body").json(&body);
    let registered = call.send().await.expect(201);
    let (ama, ama_id) = (registered["accessToken"].as_str().unwrap(), registered["user"]["id"].as_str().unwrap());
    let mut home = address();
    home["landmark"] = json!("opposite the blue water tank");
    let body = json!({"label": "Home", "address": home});
    shop.post("/addresses").token(ama).json(&body).send().await.expect(201);
    let body = json!({"kind": "marketing", "granted": true, "wording": "newsletter, version 3"});
    shop.post("/privacy/consents").token(ama).json(&body).send().await.expect(201);
    let order = shop.order(ama, &kente, 2).await;
    let payment = shop.initialize(ama, &order).await;
    shop.pay(&payment).await;
    shop.wait_for_status(ama, &order, "paid").await;
    let body = json!({"variantId": batik.variant, "quantity": 3});
    shop.post("/cart/items").token(ama).json(&body).send().await.expect(200);
    shop.post("/wishlist").token(ama).json(&json!({"productId": kente.id})).send().await.expect(201);
    let body = json!({"email": AMA});
    shop.post("/auth/password-reset-request").json(&body).send().await.expect(200);
    let (secret, codes) = turn_on_two_factor(&shop, ama).await;
    shop.wait_for_jobs().await;

    let answer = shop.get("/privacy/export").token(ama).send().await;
    assert_eq!(answer.header("content-disposition").as_deref(), Some("attachment; filename=\"my-data.json\""));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let text = answer.text.clone();
    let data = answer.expect(200);
    assert!(data["exportedAt"].is_string(), "{data:#}");
    let account = &data["account"];
    assert_eq!((&account["id"], &account["email"]), (&json!(ama_id), &json!(AMA)));
    assert_eq!((&account["name"], &account["phone"]), (&json!("Ama Mensah"), &json!("+2348031234567")));
    assert!(account["twoFactorEnabledAt"].is_string(), "{account:#}");
    assert_eq!(account["sessions"][0]["ip"], "127.0.0.1");
    assert_eq!(data["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(data["addresses"][0]["address"]["landmark"], "opposite the blue water tank");
    assert_eq!(data["consents"][0]["wording"], "newsletter, version 3");
    assert_eq!(data["orders"].as_array().unwrap().len(), 1);
    let bought = &data["orders"][0];
    assert_eq!((&bought["orderNumber"], &bought["status"]), (&order["orderNumber"], &json!("paid")));
    assert_eq!((&bought["items"][0]["sku"], &bought["items"][0]["quantity"]), (&json!("KENTE"), &json!(2)));
    assert_eq!(bought["shippingAddress"]["addressLine1"], "1 Broad Street");
    assert_eq!(bought["timeline"].as_array().unwrap().len(), 2);
    assert_eq!(data["payments"].as_array().unwrap().len(), 1);
    assert_eq!(data["payments"][0]["reference"], payment["reference"]);
    assert_eq!(data["payments"][0]["amount"].as_f64(), order["total"].as_f64());
    assert_eq!((&data["cart"][0]["sku"], &data["cart"][0]["quantity"]), (&json!("BATIK"), &json!(3)));
    assert_eq!(
        (&data["wishlist"][0]["title"], &data["wishlist"][0]["productId"]),
        (&json!("Kente KENTE"), &json!(kente.id))
    );
    let mails: Vec<&str> =
        data["mails"].as_array().unwrap().iter().map(|mail| mail["kind"].as_str().unwrap()).collect();
    for kind in ["order_confirmation", "payment_receipt", "security_notice"] {
        assert!(mails.contains(&kind), "{kind} is missing in {mails:?}");
    }
    let deeds: Vec<&str> =
        data["audit"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(deeds.contains(&"user.register") && deeds.contains(&"user.two_factor_enabled"), "{deeds:?}");
    assert_eq!(data["audit"][0]["origin"]["ip"], "127.0.0.1");

    // No secret: neither one that is stored nor one that was sent.
    let links: Vec<String> =
        sqlx::query_scalar("select body_text from emails where kind in ('verify_email', 'password_reset')")
            .fetch_all(&shop.database.pool)
            .await
            .unwrap();
    assert_eq!(links.len(), 3, "the verification mails of both, and Ama's password mail");
    assert!(links.iter().all(|mail| has_digest(mail)), "each has a token: {links:#?}");
    assert!(!has_digest(&text), "a token or a hash is in {text}");
    let refresh = registered["refreshToken"].as_str().unwrap();
    let grouped = codes.iter().map(String::as_str);
    for secret in ["$argon2", "?token=", ama, refresh, secret.as_str()].into_iter().chain(grouped) {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    // Nothing of somebody else's.
    let number = kofis_order["orderNumber"].as_str().unwrap();
    for word in ["kofi", "boateng", &kofi_id.to_lowercase(), &number.to_lowercase()] {
        assert!(!text.to_lowercase().contains(word), "{word} is in {text}");
    }

    let path = format!("/admin/audit?action=user.export&actor={ama_id}");
    let entries = shop.get(&path).token(&admin).send().await.expect(200)["entries"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!((&entries[0]["entityId"], &entries[0]["actorRole"]), (&json!(ama_id), &json!("customer")));
    let second = shop.get("/privacy/export").token(ama).send().await.expect(200);
    let last = second["audit"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["action"], "user.export");
    shop.get("/privacy/export").send().await.expect_error(401, "AUTHENTICATION_ERROR");
}

/// Whether a text has 64 hexadecimal digits in a row, which is what tokens and hashes are written as.
fn has_digest(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 64)
}

/// Whoever opens an account under an address that he has not proven gets nothing of what a guest bought under it, and
/// takes nothing away from him.
#[tokio::test]
async fn an_unproven_address_gives_nothing_of_a_guests() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let order = guest_order(&shop, AMA, &product).await;
    shop.wait_for_jobs().await;
    let number = order["orderNumber"].as_str().unwrap();
    let ama = shop.customer(AMA).await;
    let answer = shop.get("/privacy/export").token(&ama).send().await;
    let text = answer.text.clone();
    assert_eq!(answer.expect(200)["orders"], json!([]));
    assert!(!text.contains(number) && !text.contains("Broad Street"), "{text}");
    // Whoever reads the mailbox may not be the one who knows the password: the press of a button alone shows nothing.
    let pressed = "update users set email_verified_at = created_at where email = $1";
    run(&shop, pressed, &[AMA]).await;
    let data = shop.get("/privacy/export").token(&ama).send().await.expect(200);
    assert_eq!((&data["orders"], &data["guestOrdersIncluded"]), (&json!([]), &json!(false)));
    verify(&shop, AMA).await;
    let answer = shop.get("/privacy/export").token(&ama).send().await;
    let data = answer.expect(200);
    assert_eq!((&data["orders"][0]["orderNumber"], &data["guestOrdersIncluded"]), (&json!(number), &json!(true)));
    assert!(data["mails"].to_string().contains(number), "{data:#}");

    run(&shop, "update users set owner_proven_at = null where email = $1", &[AMA]).await;
    erase(&shop, &ama).await.expect(200);
    let mails = "select count(*) from emails where kind = 'order_confirmation'";
    assert_eq!(shop.database.count(mails).await, 1, "the guest's mail stays");
    let track = json!({"orderNumber": number, "email": AMA});
    shop.post("/orders/track").json(&track).send().await.expect(200);
}

// Erasing.

/// Who asks must be the one: by password, and by the second factor where there is one. Of a customer without orders
/// nothing stays.
#[tokio::test]
async fn erasing_asks_for_every_factor() {
    // More is asked here than a locked account would answer.
    let shop = TestApp::with(|config| config.auth.lock_after_failures = 50).await;
    let ama = shop.customer(AMA).await;
    let body = json!({"label": "Home", "address": address()});
    shop.post("/addresses").token(&ama).json(&body).send().await.expect(201);
    let body = json!({"kind": "cookies", "granted": false, "wording": "banner of May"});
    shop.post("/privacy/consents").token(&ama).json(&body).send().await.expect(201);
    shop.wait_for_jobs().await;
    let ask = |body: Value| {
        let call = shop.post("/privacy/erase").token(&ama).json(&body);
        async move { call.send().await }
    };
    let stranger = shop.post("/privacy/erase").json(&json!({"password": PASSWORD})).send().await;
    stranger.expect_error(401, "AUTHENTICATION_ERROR");
    for (body, field) in [
        (json!({"password": "Wrong@1234"}), "password"),
        (json!({"password": ""}), "password"),
        (json!({}), "password"),
        (json!({"password": PASSWORD, "reason": "none"}), "reason"),
    ] {
        assert_eq!(ask(body).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    let (secret, codes) = turn_on_two_factor(&shop, &ama).await;
    let used = current_code(&secret, shop.app.clock.now()).unwrap();
    for body in [
        json!({"password": PASSWORD}),
        json!({"password": PASSWORD, "code": "x"}),
        json!({"password": PASSWORD, "code": used}),
    ] {
        assert_eq!(ask(body).await.expect_error(400, "VALIDATION_ERROR"), ["code"]);
    }
    let body = json!({"password": "Wrong@1234", "code": codes[0]});
    assert_eq!(ask(body).await.expect_error(400, "VALIDATION_ERROR"), ["password"]);
    assert_eq!(shop.database.count("select count(*) from users").await, 1);
    shop.wait_for_jobs().await;
    let code = {
        shop.app.clock.advance(TimeDelta::seconds(60));
        current_code(&secret, shop.app.clock.now()).unwrap()
    };
    ask(json!({"password": PASSWORD, "code": code})).await.expect(200);
    for count in [
        "select count(*) from users",
        "select count(*) from sessions",
        "select count(*) from refresh_tokens",
        "select count(*) from email_tokens",
        "select count(*) from recovery_codes",
        "select count(*) from user_addresses",
        "select count(*) from consents",
        "select count(*) from carts",
        "select count(*) from wishlist_items",
        "select count(*) from emails",
        "select count(*) from audit_parts",
    ] {
        assert_eq!(shop.database.count(count).await, 0, "{count}");
    }
    assert!(places(&shop, AMA).await.is_empty());
    assert_chain(&shop).await;
}

/// While an order is on its way, or its money is to be looked at, somebody has to know where it goes: nothing is
/// erased, and the answer names the order.
#[tokio::test]
async fn an_order_under_way_keeps_its_buyer() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    // Another one is unpaid: it is not given up for nothing.
    let waiting = shop.order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let (number, other) = (order["orderNumber"].as_str().unwrap(), waiting["orderNumber"].as_str().unwrap());
    let stays = async |why: &str| {
        let before = everything(&shop).await;
        let refused = erase(&shop, &ama).await;
        refused.expect_error(409, "CONFLICT");
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains(number) && !message.contains(other), "{why}: {message}");
        assert_eq!(everything(&shop).await, before, "{why}");
    };
    for status in ["paid", "processing", "shipped", "partially_refunded", "return_requested"] {
        run(&shop, "update orders set status = $2 where number = $1", &[number, status]).await;
        stays(status).await;
    }
    // It is over, but money has come that does not fit.
    run(&shop, "update orders set status = 'returned' where number = $1", &[number]).await;
    run(&shop, "update payments set status = 'flagged', flag_reason = 'paid too much'", &[]).await;
    stays("flagged").await;
    run(&shop, "update payments set status = 'success', flag_reason = null", &[]).await;
    shop.get("/auth/me").token(&ama).send().await.expect(200);
    erase(&shop, &ama).await.expect(200);
    let closed = "select count(*) from orders where status = 'cancelled' and email like 'erased-%'";
    assert_eq!(shop.database.count(closed).await, 1);
    assert_ledger(&shop).await;
}

/// A part of the money went back: who has his goods may go, and so may who gets none any more; not before, and not while money is on
/// its way.
#[tokio::test]
async fn a_partly_refunded_order_that_is_over_keeps_nobody() {
    for ends_by in ["arrival", "shelf"] {
        let shop = TestApp::start().await;
        let admin = shop.staff(Role::Admin).await;
        let product = shop.product(&admin, "A", 1_000, 9).await;
        let ama = shop.customer(AMA).await;
        let order = shop.paid_order(&ama, &product, 2).await;
        let refund = async |body: Value| {
            let path = format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap());
            shop.post(&path).token(&admin).json(&body).send().await.expect(201)["refund"].clone()
        };
        let item = &order["items"][0]["id"];
        if ends_by == "arrival" {
            for status in ["shipped", "delivered"] {
                // It is refunded in part while it is on its way, and once more when it has arrived.
                if status == "delivered" {
                    refund(json!({"amount": 10})).await;
                    shop.wait_for_status(&ama, &order, "partially_refunded").await;
                    shop.wait_for_jobs().await;
                    erase(&shop, &ama).await.expect_error(409, "CONFLICT");
                }
                shop.set_status(&admin, &order, status).await.expect(200);
            }
        } else {
            refund(json!({"items": [{"orderItemId": item, "quantity": 1}], "restock": true})).await;
            shop.wait_for_status(&ama, &order, "partially_refunded").await;
            shop.wait_for_jobs().await;
            erase(&shop, &ama).await.expect_error(409, "CONFLICT");
        }
        shop.sandbox_faults(&json!({"refunds": "held"})).await;
        let last = match ends_by {
            "arrival" => json!({"amount": 5}),
            // Carriage is not given back.
            _ => json!({"items": [{"orderItemId": item, "quantity": 1}], "restock": true, "amount": 7}),
        };
        refund(last).await;
        shop.wait_for_jobs().await;
        erase(&shop, &ama).await.expect_error(409, "CONFLICT");
        shop.sandbox_faults(&json!({})).await;
        shop.wait_for_status(&ama, &order, "partially_refunded").await;
        let open = "select count(*) from refunds where status <> 'processed'";
        shop.wait_for("the money", || async { (shop.database.count(open).await == 0).then_some(()) }).await;
        shop.wait_for_jobs().await;
        erase(&shop, &ama).await.expect(200);
        assert_eq!(
            shop.database.count("select count(*) from orders where email like 'erased-%'").await,
            1,
            "{ends_by}"
        );
    }
}

/// An unpaid order is given up with its buyer, and its stock is free at once.
#[tokio::test]
async fn an_unpaid_order_is_given_up_with_its_buyer() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 4).await;
    let payment = shop.initialize(&ama, &order).await;
    assert_eq!(shop.available(&product).await, 5);
    shop.wait_for_jobs().await;
    erase(&shop, &ama).await.expect(200);
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
    let kept = shop.database.text("select status from orders").await;
    assert_eq!(kept.as_deref(), Some("cancelled"));
    let attempt = shop.database.text("select status from payments").await;
    assert_eq!(attempt.as_deref(), Some("abandoned"));
    let path = format!("/payments/{}/verify", payment["reference"].as_str().unwrap());
    shop.post(&path).send().await.expect_error(404, "NOT_FOUND");
}

/// Zipporah, who has done whatever a customer can do, always from one address and with one browser.
struct Zipporah {
    shop: TestApp,
    admin: String,
    token: String,
    refresh: String,
    id: String,
    order: Value,
}

const HERS: &str = "zipporah.quartey@example.com";
const HER_WORK: &str = "z.quartey@work.example";

/// Words by which she could be known.
const WORDS: [&str; 17] = [
    HERS,
    HER_WORK,
    "zipporah",
    "quartey",
    "8099887766",
    "8055443322",
    "17 Hibiscus",
    "Flat 4B",
    "Ikorodu-Benson",
    "blue water tank",
    "postbox 9",
    "back gate",
    "gift for grandmother",
    "found another shop",
    "TRK-778899",
    IP,
    AGENT,
];

fn her_address() -> Value {
    json!({
        "firstName": "Zipporah", "lastName": "Quartey", "phone": "0805 544 3322", "addressLine1": "17 Hibiscus Close",
        "addressLine2": "Flat 4B", "landmark": "behind the blue water tank", "city": "Ikorodu-Benson",
        "region": "Lagos State", "postalCode": "Postbox 9", "country": "NG", "notes": "through the back gate",
    })
}

fn hers(call: Call) -> Call {
    call.header("x-forwarded-for", IP).header("user-agent", AGENT)
}

/// It is sent with words about her, and she wants to send a part of it back with hers.
async fn her_order_arrives(shop: &TestApp, admin: &str, token: &str, order: &Value) {
    let path = format!("/admin/orders/{}", order["id"].as_str().unwrap());
    let note = json!({"text": "Ms Quartey has called", "visibleToCustomer": true});
    shop.post(&format!("{path}/notes")).token(admin).json(&note).send().await.expect(201);
    let pack = json!({"trackingNumber": "TRK-778899", "trackingUrl": "https://courier.example/TRK-778899",
                      "note": "Left with Zipporah's sister"});
    let call = shop.post(&format!("{path}/fulfilments")).token(admin).header("idempotency-key", "pack");
    call.json(&pack).send().await.expect(201);
    for status in ["shipped", "delivered"] {
        shop.set_status(admin, order, status).await.expect(200);
    }
    let wish = json!({"items": [{"itemId": order["items"][0]["id"], "quantity": 1, "reason": "other"}],
                      "note": "It smells of the blue water tank"});
    let call = hers(shop.post(&format!("/orders/{}/returns", order["id"].as_str().unwrap())));
    let answer = call.token(token).header("idempotency-key", "back").json(&wish).send().await.expect(201);
    let back = &answer["order"]["returns"][0];
    let decide = json!({"version": back["version"], "status": "rejected", "answer": "Sorry, Ms Quartey"});
    let path = format!("{path}/returns/{}", back["id"].as_str().unwrap());
    shop.patch(&path).token(admin).json(&decide).send().await.expect(200);
    let refund = json!({"reason": "For the smell of the blue water tank"});
    let call = shop.post(&format!("/admin/orders/{}/refunds", order["id"].as_str().unwrap())).token(admin);
    call.header("idempotency-key", "money").json(&refund).send().await.expect(201);
    shop.wait_for_status(token, order, "refunded").await;
}

impl Zipporah {
    async fn comes() -> Self {
        let shop = TestApp::with(|config| config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
        let admin = shop.staff(Role::Admin).await;
        let product = shop.product(&admin, "A", 1_000, 9).await;
        let sign_in = async |password: &str| {
            let call = hers(shop.post("/auth/login")).header("x-token-transport", "body");
            call.json(&json!({"email": HERS, "password": password})).send().await
        };
        let body = json!({"email": HERS, "password": PASSWORD, "name": "Zipporah Quartey", "phone": "0809 988 7766"});
        let registered = hers(shop.post("/auth/register")).json(&body).send().await.expect(201);
        let id = registered["user"]["id"].as_str().unwrap().to_owned();
        // What is kept about her account: a wrong password, a lock with its reason, a forgotten password.
        sign_in("Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
        let body = json!({"reason": "Zipporah Quartey asked for it"});
        shop.post(&format!("/admin/users/{id}/lock")).token(&admin).json(&body).send().await.expect(200);
        shop.post(&format!("/admin/users/{id}/unlock")).token(&admin).send().await.expect(200);
        let call = hers(shop.post("/auth/password-reset-request"));
        call.json(&json!({"email": HERS})).send().await.expect(200);
        let data = sign_in(PASSWORD).await.expect(200);
        let token = data["accessToken"].as_str().unwrap().to_owned();
        let refresh = data["refreshToken"].as_str().unwrap().to_owned();
        let post = |path: &str| hers(shop.post(path)).token(&token);
        let body = json!({"label": "Grandmother", "address": her_address()});
        post("/addresses").json(&body).send().await.expect(201);
        let body = json!({"kind": "marketing", "granted": true, "wording": "newsletter, version 3"});
        post("/privacy/consents").json(&body).send().await.expect(201);
        let body = json!({"name": "Zipporah A. Quartey"});
        hers(shop.patch("/auth/me")).token(&token).json(&body).send().await.expect(200);

        // An order from the cart, paid; one that was given up; something new in the cart.
        let goods = json!({"variantId": product.variant, "quantity": 2});
        post("/cart/items").json(&goods).send().await.expect(200);
        let body = json!({"shippingAddress": her_address(), "email": HER_WORK, "notes": "A gift for grandmother"});
        let placed = post("/orders").header("idempotency-key", "one").json(&body).send().await.expect(201);
        let order = placed["order"].clone();
        let payment = post("/payments/initialize").json(&json!({"orderId": order["id"]})).send().await.expect(200);
        shop.pay(&payment).await;
        shop.wait_for_status(&token, &order, "paid").await;
        let path = format!("/payments/{}/verify", payment["reference"].as_str().unwrap());
        post(&path).send().await.expect(200);
        let body = json!({"items": [goods], "shippingAddress": her_address()});
        let given_up = post("/orders").json(&body).send().await.expect(201)["order"].clone();
        let path = format!("/orders/{}/cancel", given_up["id"].as_str().unwrap());
        post(&path).json(&json!({"reason": "I have found another shop"})).send().await.expect(200);
        post("/cart/items").json(&goods).send().await.expect(200);
        post("/wishlist").json(&json!({"productId": product.id})).send().await.expect(201);
        hers(shop.get("/privacy/export")).token(&token).send().await.expect(200);
        shop.wait_for_jobs().await;
        her_order_arrives(&shop, &admin, &token, &order).await;
        shop.wait_for_jobs().await;
        Self { shop, admin, token, refresh, id, order }
    }

    async fn is_erased(&self) {
        let call = hers(self.shop.post("/privacy/erase")).token(&self.token);
        call.json(&json!({"password": PASSWORD})).send().await.expect(200);
    }
}

/// After a person was erased, none of the words by which she could be known stands anywhere in the database: not in a
/// mail, a webhook, a job, the log, or an answer that was kept to be repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_nowhere_in_the_database() {
    let her = Zipporah::comes().await;
    for word in WORDS {
        assert!(!places(&her.shop, word).await.is_empty(), "{word} was nowhere, so not finding it proves nothing");
    }
    for place in [
        "emails.html",
        "idempotency_keys.body",
        "orders.shipping_address",
        "fulfilments.note",
        "returns.note",
        "returns.answer",
        "refunds.reason",
        "order_events.note",
    ] {
        let mut found = places(&her.shop, HER_WORK).await;
        for word in ["Quartey", "Zipporah", "blue water tank"] {
            found.extend(places(&her.shop, word).await);
        }
        assert!(found.iter().any(|column| column == place), "{place} is missing in {found:?}");
    }
    her.is_erased().await;
    her.shop.wait_for_jobs().await;
    for word in WORDS {
        let found = places(&her.shop, word).await;
        assert!(found.is_empty(), "{word} is in {found:?}");
    }
    let card = "select count(*) from payments where num_nonnulls(card_last4, card_brand, channel, access_code) > 0";
    assert_eq!(her.shop.database.count(card).await, 0);
    let secrets = "select count(*) from users where password_hash like '$argon2%' and role = 'customer'";
    assert_eq!(her.shop.database.count(secrets).await, 0);
}

/// What books and tax want of an order stays: what was bought, for how much, into which country and region.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orders_of_an_erased_person_stay() {
    let her = Zipporah::comes().await;
    let books = async || {
        let mut kept = Vec::new();
        for sql in [
            "select jsonb_agg(to_jsonb(o) - array['email', 'notes', 'tracking_number', 'shipping_address', 'updated_at',
                                                 'version']
                              order by id)::text from orders o",
            "select jsonb_agg(to_jsonb(i) order by id)::text from order_items i",
            "select jsonb_agg(to_jsonb(e) - 'note' order by id)::text from order_events e",
            "select jsonb_agg(to_jsonb(m) order by id)::text from stock_movements m",
            "select jsonb_agg(to_jsonb(r) order by order_id, variant_id)::text from reservations r",
            "select jsonb_agg(jsonb_build_array(id, order_id, user_id, reference, status, amount_minor, paid_minor,
                              currency, paid_at) order by id)::text from payments",
            "select jsonb_agg(jsonb_build_array(id, dedupe_key, event, reference, status) order by id)::text
             from webhook_events",
            "select jsonb_agg(jsonb_build_array(seq, at, actor_id, action, entity_id, hash) order by seq)::text
             from audit_log where action <> 'user.erase'",
        ] {
            kept.push(her.shop.database.text(sql).await.unwrap());
        }
        kept
    };
    let before = books().await;
    let path = format!("/orders/{}", her.order["id"].as_str().unwrap());
    let sold = her.shop.get(&path).token(&her.admin).send().await.expect(200)["order"].clone();
    her.is_erased().await;
    assert_eq!(books().await, before);
    let shop = &her.shop;
    assert_eq!(shop.database.count("select count(*) from orders").await, 2);
    let wrong = "select count(*) from orders o
                 where total_minor <> subtotal_minor - discount_minor + shipping_minor + tax_minor
                    or subtotal_minor <> (select sum(total_minor) from order_items i where i.order_id = o.id)";
    assert_eq!(shop.database.count(wrong).await, 0);
    assert_ledger(shop).await;
    let order = shop.get(&path).token(&her.admin).send().await.expect(200)["order"].clone();
    assert_eq!((&order["total"], &order["items"]), (&sold["total"], &sold["items"]));
    let to = &order["shippingAddress"];
    assert_eq!((&to["region"], &to["country"], &to["firstName"]), (&json!("Lagos"), &json!("NG"), &json!("Erased")));
    assert_eq!((&order["notes"], &order["trackingNumber"]), (&Value::Null, &Value::Null));
    assert!(order["email"].as_str().unwrap().ends_with("@erased.invalid"), "{order:#}");
    // Staff see an account without a person.
    let path = format!("/admin/users/{}", her.id);
    let user = shop.get(&path).token(&her.admin).send().await.expect(200)["user"].clone();
    assert_eq!((&user["name"], &user["phone"], &user["verified"]), (&json!("Erased"), &Value::Null, &json!(false)));
    assert!(user["erasedAt"].is_string(), "{user:#}");
}

/// Nobody gets in any more as the person who was erased, and her address is anybody's again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_an_erased_account() {
    let her = Zipporah::comes().await;
    let shop = &her.shop;
    her.is_erased().await;
    for path in ["/auth/me", "/orders", "/addresses", "/cart", "/privacy/export"] {
        shop.get(path).token(&her.token).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let body = json!({"label": "Home", "address": address()});
    shop.post("/addresses").token(&her.token).json(&body).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    erase(shop, &her.token).await.expect_error(401, "AUTHENTICATION_ERROR");
    let refreshed = shop.post("/auth/refresh").json(&json!({"refreshToken": her.refresh})).send().await;
    refreshed.expect_error(401, "AUTHENTICATION_ERROR");
    let hidden = format!("erased-{}@erased.invalid", her.id);
    for email in [HERS, &hidden] {
        for password in [PASSWORD, "!", ""] {
            let call = shop.post("/auth/login").json(&json!({"email": email, "password": password}));
            call.send().await.expect_error(401, "AUTHENTICATION_ERROR");
        }
        let track = json!({"orderNumber": her.order["orderNumber"], "email": email});
        shop.post("/orders/track").json(&track).send().await.expect_error(404, "NOT_FOUND");
    }
    let track = json!({"orderNumber": her.order["orderNumber"], "email": HER_WORK});
    shop.post("/orders/track").json(&track).send().await.expect_error(404, "NOT_FOUND");
    // Staff cannot bring her back.
    let path = format!("/admin/users/{}/role", her.id);
    let answer = shop.patch(&path).token(&her.admin).json(&json!({"role": "merchant"})).send().await;
    answer.expect_error(404, "NOT_FOUND");

    // What is on record: that it happened, and neither from where nor by which browser.
    let log = shop.get("/admin/audit?action=user.erase").token(&her.admin).send().await.expect(200);
    let entries = &log["entries"];
    assert_eq!(entries.as_array().unwrap().len(), 1);
    let entry = &entries[0];
    assert_eq!((&entry["entityId"], &entry["actorId"]), (&json!(her.id), &json!(her.id)));
    assert_eq!((&entry["ip"], &entry["userAgent"], &entry["after"]), (&Value::Null, &Value::Null, &Value::Null));
    let chain = shop.get("/admin/audit/check").token(&her.admin).send().await.expect(200);
    assert_eq!((&chain["intact"], &chain["faults"]), (&json!(true), &json!([])));

    let body = json!({"email": HERS, "password": PASSWORD, "name": "Zipporah"});
    let anew = shop.post("/auth/register").json(&body).send().await.expect(201);
    assert_ne!(anew["user"]["id"], her.id.as_str());
    let token = anew["accessToken"].as_str().unwrap();
    assert_eq!(shop.get("/orders").token(token).send().await.expect(200)["orders"], json!([]));
    verify(shop, HERS).await;
    let data = shop.get("/privacy/export").token(token).send().await.expect(200);
    assert_eq!((&data["orders"], &data["addresses"], &data["consents"]), (&json!([]), &json!([]), &json!([])));
}

/// What a person bought as a guest is erased too when the address was proven; else it may be somebody else's.
#[tokio::test]
async fn guest_orders_go_with_a_proven_address() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let kofi = "kofi@example.com";
    for email in [AMA, kofi] {
        let order = guest_order(&shop, email, &product).await;
        shop.force_status(&order, "delivered").await;
        guest_order(&shop, email, &product).await;
    }
    let (with_proof, without) = (shop.customer(AMA).await, shop.customer(kofi).await);
    verify(&shop, AMA).await;
    shop.wait_for_jobs().await;
    for token in [&with_proof, &without] {
        erase(&shop, token).await.expect(200);
    }
    assert_eq!(shop.database.count("select count(*) from users where role = 'customer'").await, 0);
    assert!(places(&shop, AMA).await.is_empty());
    for (email, name, expected) in [
        ("erased-%@erased.invalid", "Erased", ["cancelled", "delivered"]),
        (kofi, "Ama", ["delivered", "pending_payment"]),
    ] {
        let statuses: Vec<String> = sqlx::query_scalar(
            "select status from orders where email like $1 and shipping_address->>'firstName' = $2 order by status",
        )
        .bind(email)
        .bind(name)
        .fetch_all(&shop.database.pool)
        .await
        .unwrap();
        assert_eq!(statuses, expected, "{email}");
    }
    assert_ledger(&shop).await;

    // A paid one keeps the person who proved the address.
    let yaa = "yaa@example.com";
    let order = guest_order(&shop, yaa, &product).await;
    shop.force_status(&order, "paid").await;
    let token = shop.customer(yaa).await;
    verify(&shop, yaa).await;
    let refused = erase(&shop, &token).await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.text.contains(order["orderNumber"].as_str().unwrap()), "{}", refused.text);
}

/// A shop keeps an administrator, also when both of two leave at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_administrator_stays() {
    let shop = TestApp::start().await;
    let first = shop.staff(Role::Admin).await;
    let refused = erase(&shop, &first).await;
    refused.expect_error(409, "CONFLICT");
    assert!(refused.body["message"].as_str().unwrap().contains("last administrator"), "{}", refused.text);
    let another = async |email: &str| {
        let parsed = email.parse().unwrap();
        auth::create_staff(&shop.app, &parsed, &PASSWORD.parse().unwrap(), "Staff", Role::Admin).await.unwrap();
        shop.login(email).await
    };
    let second = another("second@agape.example").await;
    erase(&shop, &first).await.expect(200);
    erase(&shop, &second).await.expect_error(409, "CONFLICT");
    let third = another("third@agape.example").await;
    let answers = join_all([&second, &third].map(|token| erase(&shop, token))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{answers:?}");
    let admins = "select count(*) from users where role = 'admin' and erased_at is null";
    assert_eq!(shop.database.count(admins).await, 1);
    // Other staff may go.
    let merchant = shop.staff(Role::Merchant).await;
    erase(&shop, &merchant).await.expect(200);
    shop.get("/admin/users").token(&merchant).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    assert_chain(&shop).await;
}

/// Who asks twice at once is erased once, whether a row has to stay or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let buyer = shop.customer(AMA).await;
    shop.order(&buyer, &product, 3).await;
    let visitor = shop.customer("kofi@example.com").await;
    shop.wait_for_jobs().await;
    for token in [&buyer, &visitor] {
        let answers = join_all((0..2).map(|_| erase(&shop, token))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{answers:?}");
        assert!([401, 404, 409].contains(&statuses[1]), "{answers:?}");
    }
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'user.erase'").await, 2);
    assert_eq!(shop.database.count("select count(*) from users where role = 'customer'").await, 1);
    assert_eq!(shop.available(&product).await, 9);
    assert_ledger(&shop).await;
    assert_chain(&shop).await;
}

// Consents.

/// The last answer of a kind counts, and no answer is ever changed.
#[tokio::test]
async fn answers_are_only_added() {
    let shop = TestApp::start().await;
    let (ama, ben) = (shop.customer(AMA).await, shop.customer("ben@example.com").await);
    let (visitor, other) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let answer = |token: Option<&str>, body: Value| {
        let call = shop.post("/privacy/consents").json(&body);
        let call = match token {
            Some(token) => call.token(token),
            None => call,
        };
        async move { call.send().await }
    };
    let said = |kind: &str, granted: bool| json!({"kind": kind, "granted": granted, "wording": "version 3"});
    let as_visitor = |kind: &str, granted: bool| {
        let mut body = said(kind, granted);
        body["visitorId"] = json!(visitor);
        body
    };
    let current = async |token: Option<&str>, query: &str| {
        let call = shop.get(&format!("/privacy/consents{query}"));
        let call = match token {
            Some(token) => call.token(token),
            None => call,
        };
        let data = call.send().await.expect(200);
        let name = |consent: &Value| (consent["kind"].as_str().unwrap().to_owned(), consent["granted"] == true);
        data["consents"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    let of = |kind: &str, granted: bool| (kind.to_owned(), granted);

    let first = answer(Some(&ama), said("marketing", true)).await.expect(201)["consent"].clone();
    assert_eq!((&first["kind"], &first["granted"]), (&json!("marketing"), &json!(true)));
    assert_eq!(first["wording"], "version 3");
    assert!(first["at"].is_string(), "{first:#}");
    answer(Some(&ama), said("cookies", false)).await.expect(201);
    answer(Some(&ama), said("marketing", false)).await.expect(201);
    assert_eq!(current(Some(&ama), "").await, [of("cookies", false), of("marketing", false)]);
    answer(Some(&ama), said("marketing", true)).await.expect(201);
    assert_eq!(current(Some(&ama), "").await, [of("cookies", false), of("marketing", true)]);
    answer(None, as_visitor("analytics", true)).await.expect(201);
    answer(None, as_visitor("analytics", false)).await.expect(201);
    assert_eq!(current(None, &format!("?visitorId={visitor}")).await, [of("analytics", false)]);
    // Nobody sees another person's.
    assert!(current(Some(&ben), "").await.is_empty());
    assert!(current(None, &format!("?visitorId={other}")).await.is_empty());

    // Whose answer it is must be clear.
    let fields = |answer: Answer| answer.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(fields(answer(Some(&ama), as_visitor("marketing", true)).await), ["visitorId"]);
    assert_eq!(fields(answer(None, said("marketing", true)).await), ["visitorId"]);
    let path = format!("/privacy/consents?visitorId={visitor}");
    assert_eq!(fields(shop.get(&path).token(&ama).send().await), ["visitorId"]);
    assert_eq!(fields(shop.get("/privacy/consents").send().await), ["visitorId"]);
    assert_eq!(fields(shop.get("/privacy/consents?visitorId=x").send().await), ["visitorId"]);
    assert_eq!(fields(answer(Some(&ama), said("everything", true)).await), ["kind"]);
    let body = json!({"kind": "marketing", "granted": "yes", "wording": "", "at": "2020-01-01T00:00:00Z"});
    let wrong = fields(answer(Some(&ama), body).await);
    for field in ["granted", "wording", "at"] {
        assert!(wrong.iter().any(|f| f == field), "{field} is missing in {wrong:?}");
    }
    // A wrong token is not a visitor's.
    let refused = answer(Some("x.y.z"), as_visitor("marketing", true)).await;
    refused.expect_error(401, "AUTHENTICATION_ERROR");

    assert_eq!(shop.database.count("select count(*) from consents").await, 6);
    for sql in ["update consents set granted = true", "update consents set at = at where false", "truncate consents"] {
        let error = sqlx::query(sql).execute(&shop.database.pool).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    let nobody = "insert into consents (id, kind, granted, wording, at)
                  values (gen_random_uuid(), 'cookies', true, 'x', now())";
    assert!(sqlx::query(nobody).execute(&shop.database.pool).await.is_err(), "the database accepts nobody's answer");
}

// The daily clean-up.

async fn clean_up(shop: &TestApp) {
    Job::run(Retention {}, &shop.app).await.unwrap();
}

/// The addresses of all accounts.
async fn accounts(shop: &TestApp) -> Vec<String> {
    sqlx::query_scalar("select email from users order by email").fetch_all(&shop.database.pool).await.unwrap()
}

/// A customer who never proved the address is forgotten after a month, unless something was bought or somebody came.
#[tokio::test]
async fn an_unproven_account_is_forgotten_after_a_month() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.staff(Role::Finance).await;
    run(&shop, "update users set email_verified_at = null where role = 'finance'", &[]).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    for name in ["gone", "back", "guest", "proven"] {
        shop.customer(&format!("{name}@example.com")).await;
    }
    let buyer = shop.customer("buyer@example.com").await;
    shop.order(&buyer, &product, 1).await;
    guest_order(&shop, "guest@example.com", &product).await;
    verify(&shop, "proven@example.com").await;
    shop.wait_for_jobs().await;
    let all = accounts(&shop).await;
    shop.app.clock.advance(TimeDelta::days(25));
    shop.login("back@example.com").await;
    shop.app.clock.advance(TimeDelta::days(4) + TimeDelta::hours(23));
    clean_up(&shop).await;
    assert_eq!(accounts(&shop).await, all, "nobody has been away for a month yet");
    shop.app.clock.advance(TimeDelta::hours(2));
    shop.customer("new@example.com").await;
    shop.wait_for_jobs().await;
    clean_up(&shop).await;
    let left = accounts(&shop).await;
    let expected = [
        "admin@agape.example",
        "back@example.com",
        "buyer@example.com",
        "finance@agape.example",
        "guest@example.com",
        "new@example.com",
        "proven@example.com",
    ];
    assert_eq!(left, expected);
    assert!(places(&shop, "gone@example.com").await.is_empty());
    // The program did it, not a person, and it is on record.
    let entry = "select count(*) from audit_log
                 where action = 'user.erase' and actor_id is null and actor_role is null and origin_digest is null";
    assert_eq!(shop.database.count(entry).await, 1);
    assert_chain(&shop).await;
    clean_up(&shop).await;
    assert_eq!(accounts(&shop).await, left);
}

/// A customer who proved the address and has not come for two years is forgotten; buyers and staff are not.
#[tokio::test]
async fn an_unused_account_is_forgotten_after_two_years() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.staff(Role::Merchant).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    for name in ["gone", "guest", "back"] {
        shop.customer(&format!("{name}@example.com")).await;
    }
    let buyer = shop.customer("buyer@example.com").await;
    shop.order(&buyer, &product, 1).await;
    guest_order(&shop, "guest@example.com", &product).await;
    for name in ["gone", "guest", "back", "buyer"] {
        verify(&shop, &format!("{name}@example.com")).await;
    }
    shop.wait_for_jobs().await;
    let all = accounts(&shop).await;
    shop.app.clock.advance(TimeDelta::days(700));
    shop.login("back@example.com").await;
    shop.app.clock.advance(TimeDelta::days(29));
    clean_up(&shop).await;
    assert_eq!(accounts(&shop).await, all);
    shop.app.clock.advance(TimeDelta::days(2));
    clean_up(&shop).await;
    let mut left = all;
    left.retain(|email| email != "gone@example.com");
    assert_eq!(accounts(&shop).await, left);
    assert!(places(&shop, "gone@example.com").await.is_empty());
    assert_eq!(shop.database.count("select count(*) from orders where email like 'erased-%'").await, 0);
    assert_chain(&shop).await;
}

/// Days of 0 keep everything for ever.
#[tokio::test]
async fn zero_days_keep_for_ever() {
    let shop = TestApp::with(|config| {
        config.privacy.unverified_account_days = 0;
        config.privacy.inactive_account_days = 0;
        config.privacy.ended_session_days = 0;
        config.privacy.mail_days = 0;
        config.privacy.audit_origin_days = 0;
        config.privacy.visitor_consent_days = 0;
    })
    .await;
    let ama = shop.customer(AMA).await;
    shop.customer("kofi@example.com").await;
    shop.wait_for_jobs().await;
    verify(&shop, "kofi@example.com").await;
    shop.post("/auth/logout").token(&ama).send().await.expect(200);
    let counts = async || {
        let mut counts = Vec::new();
        for sql in [
            "select count(*) from users",
            "select count(*) from sessions",
            "select count(*) from emails",
            "select count(*) from audit_log",
            "select count(*) from audit_parts",
        ] {
            counts.push(shop.database.count(sql).await);
        }
        counts
    };
    let before = counts().await;
    assert!(before.iter().all(|count| *count >= 2), "{before:?}");
    shop.app.clock.advance(TimeDelta::days(5_000));
    clean_up(&shop).await;
    assert_eq!(counts().await, before);
    // Whose time is over is a secret without a use.
    assert_eq!(shop.database.count("select count(*) from refresh_tokens").await, 0);
    assert_eq!(shop.database.count("select count(*) from email_tokens").await, 0);
}

/// Sessions go a month after their end, mails after half a year, and where audit entries came from after a year; the
/// chain holds. What is in use stays.
#[tokio::test]
async fn traces_go_after_their_days() {
    let shop = TestApp::start().await;
    let first = shop.customer(AMA).await;
    shop.wait_for_jobs().await;
    verify(&shop, AMA).await;
    shop.post("/auth/logout").token(&first).send().await.expect(200);
    // Left open: it ends by itself on day 30.
    shop.login(AMA).await;
    let old = assert_chain(&shop).await;
    let sessions = async || shop.database.count("select count(*) from sessions").await;
    let mails = async || shop.database.count("select count(*) from emails").await;
    assert_eq!((sessions().await, mails().await), (2, 1));

    shop.app.clock.advance(TimeDelta::days(20));
    let body = json!({"email": AMA, "password": PASSWORD});
    let call = shop.post("/auth/login").header("x-token-transport", "body").json(&body);
    let token = call.send().await.expect(200)["refreshToken"].as_str().unwrap().to_owned();
    shop.app.clock.advance(TimeDelta::days(9));
    clean_up(&shop).await;
    assert_eq!(sessions().await, 3, "day 29");
    shop.app.clock.advance(TimeDelta::days(2));
    clean_up(&shop).await;
    assert_eq!((sessions().await, mails().await), (2, 1), "day 31: the one that was signed out is gone");
    let answer = shop.post("/auth/refresh").json(&json!({"refreshToken": token})).send().await;
    let token = answer.expect(200)["refreshToken"].as_str().unwrap().to_owned();
    shop.post("/auth/password-reset-request").json(&json!({"email": AMA})).send().await.expect(200);
    shop.wait_for_jobs().await;
    shop.app.clock.advance(TimeDelta::days(18));
    clean_up(&shop).await;
    assert_eq!(sessions().await, 2, "day 49");
    shop.post("/auth/refresh").json(&json!({"refreshToken": token})).send().await.expect(200);
    shop.app.clock.advance(TimeDelta::days(12));
    clean_up(&shop).await;
    assert_eq!((sessions().await, mails().await), (1, 2), "day 61: the one that was left open is gone");

    shop.app.clock.advance(TimeDelta::days(118));
    clean_up(&shop).await;
    assert_eq!((sessions().await, mails().await), (0, 2), "day 179");
    shop.app.clock.advance(TimeDelta::days(2));
    clean_up(&shop).await;
    assert_eq!(mails().await, 1, "day 181: the mail of day 31 stays");
    let kept = shop.database.text("select kind from emails").await;
    assert_eq!(kept.as_deref(), Some("password_reset"));

    // Of the first day, and of all later ones.
    let origins = async |sign: &str| {
        let sql = format!(
            "select count(*) from audit_parts p join audit_log l on l.id = p.entry_id
             where p.part = 'origin' and l.seq {sign} $1"
        );
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).bind(old);
        count.fetch_one(&shop.database.pool).await.unwrap()
    };
    let later = origins(">").await;
    assert!(later >= 2, "a sign-in and a password mail: {later}");
    shop.app.clock.advance(TimeDelta::days(183));
    clean_up(&shop).await;
    assert_eq!((origins("<=").await, origins(">").await), (old, later), "day 364");
    shop.app.clock.advance(TimeDelta::days(2));
    clean_up(&shop).await;
    assert_eq!((origins("<=").await, origins(">").await), (0, later), "day 366");
    assert_eq!(assert_chain(&shop).await, old + later, "no entry is gone");
    assert_eq!(accounts(&shop).await, [AMA]);
}

/// Where a member of the staff acted from is not the customer's to know, and stays when the customer is erased.
#[tokio::test]
async fn where_staff_acted_from_is_theirs() {
    let shop = TestApp::with(|config| config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer(AMA).await;
    let id = shop.database.text("select id::text from users where role = 'customer'").await.unwrap();
    let path = format!("/admin/users/{id}/unlock");
    shop.post(&path).token(&admin).header("x-forwarded-for", "203.0.113.99").send().await.expect(200);
    let export = shop.get("/privacy/export").token(&ama).send().await;
    assert!(export.text.contains("user.unlock") && !export.text.contains("203.0.113.99"), "{}", export.text);
    erase(&shop, &ama).await.expect(200);
    let kept = "select count(*) from audit_parts where part = 'origin' and content ->> 'ip' = '203.0.113.99'";
    assert_eq!(shop.database.count(kept).await, 1);
    assert_chain(&shop).await;
}

/// Money that comes for an order of an erased person does not start a parcel to nobody: it goes back.
#[tokio::test]
async fn money_after_an_erasure_goes_back() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    let order = shop.order(&ama, &product, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    erase(&shop, &ama).await.expect(200);
    shop.pay(&payment).await;
    shop.wait_for("the flag", || async {
        shop.database.text("select flag_reason from payments where status = 'flagged'").await
    })
    .await;
    assert_eq!(shop.database.text("select status from orders").await.as_deref(), Some("cancelled"));
    assert_eq!(shop.available(&product).await, 9);
    // What the provider says of the person is not written again, whenever it comes.
    shop.wait_for_jobs().await;
    shop.wait_for("the refund", || async {
        shop.database.text("select id::text from refunds where status = 'processed' and amount_minor > 0").await
    })
    .await;
    shop.wait_for_jobs().await;
    let told = "select count(*) from webhook_events where status = 'processed' and event = 'charge.success'";
    assert_eq!(shop.database.count(told).await, 1);
    let found = places(&shop, AMA).await;
    assert!(found.is_empty(), "{found:?}");
    let card = "select count(*) from payments where num_nonnulls(card_last4, card_brand, channel, access_code) > 0";
    assert_eq!(shop.database.count(card).await, 0);
}

/// Whatever a person does in the moment of the erasure is either erased with the rest or refused, wherever it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_for_a_person_who_is_being_erased() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 900).await;
    for round in 0..4 {
        let email = format!("zuleika{round}@example.com");
        let token = shop.customer(&email).await;
        // In every other round the account stays, without the person.
        if round % 2 == 0 {
            shop.order(&token, &product, 1).await;
        }
        let mut to = address();
        to["firstName"] = json!("Zuleika");
        let book = json!({"label": "Home", "address": to});
        let consent = json!({"kind": "cookies", "granted": true, "wording": "the banner of May"});
        let goods = json!({"variantId": product.variant, "quantity": 1});
        let order = json!({"items": [goods], "shippingAddress": to});
        let wish = json!({"productId": product.id});
        let writes = (0..25).map(|i| {
            let (path, body) = match i % 5 {
                0 => ("/addresses", &book),
                1 => ("/privacy/consents", &consent),
                2 => ("/cart/items", &goods),
                3 => ("/wishlist", &wish),
                _ => ("/orders", &order),
            };
            shop.post(path).token(&token).json(body).send()
        });
        let (answers, erased) = tokio::join!(join_all(writes), erase(&shop, &token));
        for answer in answers {
            assert!(matches!(answer.status, 200 | 201 | 401 | 409), "{}: {}", answer.status, answer.text);
        }
        // An order that was placed while the account was looked at may keep it this time, never half of it.
        if erased.status == 409 {
            erase(&shop, &token).await.expect(200);
        } else {
            erased.expect(200);
        }
        shop.wait_for_jobs().await;
        for word in ["Zuleika", &email] {
            let found = places(&shop, word).await;
            assert!(found.is_empty(), "{word} is in {found:?}");
        }
    }
    assert_ledger(&shop).await;
    assert_chain(&shop).await;
}

/// The database itself refuses to write for an account whose person is gone.
#[tokio::test]
async fn the_database_refuses_what_belongs_to_nobody() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer(AMA).await;
    shop.order(&ama, &product, 1).await;
    erase(&shop, &ama).await.expect(200);
    let id = shop.database.text("select id::text from users where erased_at is not null").await.unwrap();
    for (table, sql) in [
        (
            "consents",
            "insert into consents (id, user_id, kind, granted, wording, at)
                      values (gen_random_uuid(), $1::uuid, 'cookies', true, 'x', now())",
        ),
        (
            "user_addresses",
            "insert into user_addresses (id, user_id, label, address, created_at, updated_at)
                            values (gen_random_uuid(), $1::uuid, 'x', '{}', now(), now())",
        ),
        (
            "email_tokens",
            "insert into email_tokens (token_hash, user_id, purpose, created_at, expires_at)
                          values (sha256('x'), $1::uuid, 'verify_email', now(), now())",
        ),
        (
            "login_challenges",
            "insert into login_challenges (token_hash, user_id, created_at, expires_at)
                              values (sha256('x'), $1::uuid, now(), now())",
        ),
    ] {
        let refused = sqlx::query(sql).bind(&id).execute(&shop.database.pool).await.unwrap_err();
        let constraint = refused.as_database_error().unwrap().constraint().unwrap().to_owned();
        assert_eq!(constraint, format!("{table}_user_id_fkey"));
    }
}

/// What visitors answered goes after two years; the answers of accounts stay with them.
#[tokio::test]
async fn the_answers_of_visitors_are_forgotten() {
    let shop = TestApp::start().await;
    let ama = shop.customer(AMA).await;
    verify(&shop, AMA).await;
    let visitor = json!({"kind": "cookies", "granted": true, "wording": "banner",
                         "visitorId": "0190c8a0-0000-7000-8000-000000000001"});
    shop.post("/privacy/consents").json(&visitor).send().await.expect(201);
    shop.app.clock.advance(TimeDelta::days(1));
    shop.post("/privacy/consents").json(&visitor).send().await.expect(201);
    let hers = json!({"kind": "cookies", "granted": true, "wording": "banner"});
    shop.post("/privacy/consents").token(&shop.login(AMA).await).json(&hers).send().await.expect(201);
    drop(ama);
    shop.app.clock.advance(TimeDelta::days(729));
    shop.login(AMA).await;
    clean_up(&shop).await;
    let left = "select string_agg(coalesce(user_id::text, 'visitor'), ' ' order by at) from consents";
    assert_eq!(shop.database.text(left).await.unwrap().matches("visitor").count(), 1);
    assert_eq!(shop.database.count("select count(*) from consents where user_id is not null").await, 1);
}
