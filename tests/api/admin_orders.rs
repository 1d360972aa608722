//! Orders as staff look for them, write on them and send their mails again; and what buyers order again.

use agape::features::auth::Role;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{TestApp, address};

async fn list(shop: &TestApp, staff: &str, query: &[(&str, &str)]) -> Value {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let answer = shop.get(&format!("/admin/orders?{query}")).token(staff).send().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.body
}

/// The first names of the buyers of what a question finds.
async fn found(shop: &TestApp, staff: &str, query: &[(&str, &str)]) -> Vec<String> {
    let body = list(shop, staff, query).await;
    let orders = body["data"]["orders"].as_array().unwrap();
    assert_eq!(body["pagination"]["total"], orders.len(), "{query:?}");
    orders.iter().map(|order| order["shippingAddress"]["firstName"].as_str().unwrap().to_owned()).collect()
}

/// Orders are found by what staff know of them, and nothing that is no filter is taken for one.
#[tokio::test]
async fn orders_are_found_by_what_is_known() {
    let shop = TestApp::start().await;
    // What goods cost is then the same everywhere.
    shop.set_rates("delete from taxes").await;
    let admin = shop.staff(Role::Admin).await;
    let finance = shop.staff(Role::Finance).await;
    let (cheap, dear) = (shop.product(&admin, "CHEAP", 100, 99).await, shop.product(&admin, "DEAR", 90_000, 99).await);
    let ama = shop.customer("ama@example.com").await;
    let mut orders = Vec::new();
    for (name, email, phone, country, product, token) in [
        ("Ama", "ama@example.com", "0803 123 4567", "NG", &cheap, Some(&ama)),
        ("Adébáyò", "bayo@example.com", "0809 999 1111", "NG", &dear, None),
        ("Kofi", "k_fi@example.com", "024 123 4567", "GH", &cheap, None),
        ("Wanjiru", "wanjiru@example.com", "0712 345 678", "KE", &dear, None),
    ] {
        let mut to = address();
        let region = if country == "GH" { "Ashanti" } else { "Lagos" };
        for (key, value) in [("firstName", name), ("phone", phone), ("country", country), ("region", region)] {
            to[key] = json!(value);
        }
        let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": 1}],
                          "shippingAddress": to});
        let call = shop.post("/orders").json(&body);
        let call = if let Some(token) = token { call.token(token) } else { call };
        orders.push(call.send().await.expect(201)["order"].clone());
        shop.app.clock.advance(chrono::TimeDelta::seconds(10));
    }
    let [amas, bayos, kofis, _] = orders.as_slice() else { panic!() };
    shop.pay(&shop.initialize(&ama, amas).await).await;
    shop.wait_for_status(&ama, amas, "paid").await;
    let track = json!({"trackingNumber": "GIG-77"});
    let path = format!("/admin/orders/{}/tracking", amas["id"].as_str().unwrap());
    shop.patch(&path).token(&admin).json(&track).send().await.expect(200);
    shop.set_status(&admin, amas, "shipped").await.expect(200);
    shop.set_status(&admin, bayos, "cancelled").await.expect(200);
    let id = shop.get("/auth/me").token(&ama).send().await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let (second, number) = (kofis["createdAt"].as_str().unwrap(), kofis["orderNumber"].as_str().unwrap());
    let (dear_total, cheap_total) = (bayos["total"].to_string(), amas["total"].to_string());

    let all = ["Wanjiru", "Kofi", "Adébáyò", "Ama"];
    for (query, expected) in [
        (&[][..], &all[..]),
        (&[("status", ""), ("search", " "), ("country", "")], &all),
        (&[("sort", "oldest")], &["Ama", "Adébáyò", "Kofi", "Wanjiru"]),
        (&[("status", "shipped")], &["Ama"]),
        (&[("status", "shipped, cancelled")], &["Adébáyò", "Ama"]),
        (&[("status", "refunded")], &[]),
        (&[("paymentStatus", "completed")], &["Ama"]),
        (&[("paymentStatus", "pending")], &["Wanjiru", "Kofi"]),
        (&[("paymentStatus", "failed")], &["Adébáyò"]),
        (&[("paymentStatus", "failed"), ("status", "shipped")], &[]),
        (&[("fulfilmentStatus", "fulfilled")], &["Ama"]),
        (&[("fulfilmentStatus", "partial")], &[]),
        (&[("fulfilmentStatus", "unfulfilled"), ("status", "pending_payment")], &["Wanjiru", "Kofi"]),
        (&[("from", second)], &["Wanjiru", "Kofi"]),
        (&[("until", second)], &["Adébáyò", "Ama"]),
        (&[("minTotal", &dear_total)], &["Wanjiru", "Adébáyò"]),
        (&[("maxTotal", &cheap_total)], &["Kofi", "Ama"]),
        (&[("minTotal", &dear_total), ("maxTotal", &cheap_total)], &[]),
        (&[("country", "gh")], &["Kofi"]),
        (&[("country", "Nigeria")], &["Adébáyò", "Ama"]),
        (&[("customer", &id)], &["Ama"]),
        (&[("customer", "Bayo@Example.com")], &["Adébáyò"]),
        (&[("search", number)], &["Kofi"]),
        (&[("search", &number.to_lowercase())], &["Kofi"]),
        (&[("search", "adebay")], &["Adébáyò"]),
        (&[("search", "WANJ")], &["Wanjiru"]),
        (&[("search", "bayo@ex")], &["Adébáyò"]),
        (&[("search", "k_fi")], &["Kofi"]),
        (&[("search", "%")], &[]),
        (&[("search", "0803 123")], &["Ama"]),
        (&[("search", "024123")], &["Kofi"]),
        (&[("search", "gig-77")], &["Ama"]),
        (&[("search", "gig-7")], &[]),
        (&[("search", "mensah"), ("country", "KE")], &["Wanjiru"]),
        (&[("search", "';--")], &[]),
    ] {
        assert_eq!(found(&shop, &finance, query).await, expected, "{query:?}");
    }
    let by_total = found(&shop, &finance, &[("sort", "highest")]).await;
    assert_eq!(by_total, ["Wanjiru", "Adébáyò", "Kofi", "Ama"]);
    for (query, fields) in [
        (&[("status", "lost")][..], &["status"][..]),
        (&[("paymentStatus", "maybe"), ("fulfilmentStatus", "x")], &["paymentStatus", "fulfilmentStatus"]),
        (&[("minTotal", "-1"), ("maxTotal", "1e9")], &["minTotal", "maxTotal"]),
        (&[("maxTotal", "99999999999999999999")], &["maxTotal"]),
        (&[("country", "Wakanda"), ("customer", "x")], &["country", "customer"]),
        (&[("search", &"x".repeat(101))], &["search"]),
        (&[("from", "yesterday")], &["from"]),
        (&[("from", "-4713-01-01T00:00:00Z")], &["from"]),
        (&[("sort", "price")], &["sort"]),
        (&[("page", "0")], &["page"]),
        (&[("cursor", "x")], &["cursor"]),
        (&[("cursor", &id), ("page", "2")], &["page"]),
    ] {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let answer = shop.get(&format!("/admin/orders?{text}")).token(&finance).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), fields, "{query:?}");
    }
    shop.get("/admin/orders").token(&ama).send().await.expect_error(403, "AUTHORIZATION_ERROR");
}

/// Many orders, past the program: two of them at each time, few of them paid, few of another country.
async fn many(shop: &TestApp, count: i64) {
    let sql = format!(
        "insert into orders (id, number, email, status, currency, subtotal_minor, shipping_minor, tax_minor, total_minor,
                             shipping_address, shipping_method, payment_method, placed_at, updated_at, paid_at, fulfilment_status)
         select ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, order_number(2025, n),
                'buyer' || n || '@example.com', case when n % 1000 = 0 then 'paid' else 'cancelled' end, 'NGN', n / 3, 0, 0, n / 3,
                jsonb_build_object('firstName', 'Buyer' || n, 'lastName', 'Mensah', 'phone', '+23480' || 10000000 + n,
                                   'country', case when n % 700 = 0 then 'ZM' else 'NG' end),
                'standard', 'paystack', timestamptz '2026-01-01 00:00Z' + n / 2 * interval '1 second', now(),
                case when n % 1000 = 0 then now() end, case when n % 900 = 0 then 'partial' else 'unfulfilled' end
         from generate_series(1, {count}) n"
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&shop.database.pool).await.unwrap();
    sqlx::query("vacuum analyze orders").execute(&shop.database.pool).await.unwrap();
}

/// With a cursor each order of the list comes once, in the order of the pages, although keys are equal.
#[tokio::test]
async fn a_cursor_walks_all_orders() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    many(&shop, 45).await;
    for sort in ["newest", "oldest", "highest", "lowest"] {
        let numbers = |body: &Value| -> Vec<String> {
            let orders = body["data"]["orders"].as_array().unwrap();
            orders.iter().map(|order| order["orderNumber"].as_str().unwrap().to_owned()).collect()
        };
        let whole = numbers(&list(&shop, &admin, &[("sort", sort), ("limit", "100")]).await);
        assert_eq!(whole.len(), 45);
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        for step in 0..12 {
            let body = list(&shop, &admin, &[("sort", sort), ("limit", "4"), ("cursor", &cursor)]).await;
            assert_eq!(body["pagination"]["total"].is_null(), step > 0);
            walked.extend(numbers(&body));
            match body["pagination"]["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{sort}");
    }
}

/// Each way to look for orders has its index: none reads the whole table.
#[tokio::test]
async fn no_search_reads_all_orders() {
    let shop = TestApp::start().await;
    many(&shop, 20_000).await;
    let text = "order_search_text(number, email, shipping_address) like containing";
    let owed = "payment_method = 'pay_on_delivery' and paid_at is null and status in ('processing', 'shipped', 'delivered', 'return_requested')";
    for (question, index) in [
        ("true order by placed_at desc, id desc limit 21".to_owned(), "orders_placed_at"),
        ("true order by placed_at, id limit 21".into(), "orders_placed_at"),
        ("true order by total_minor desc, id desc limit 21".into(), "orders_total"),
        ("total_minor >= 6600 order by total_minor, id limit 21".into(), "orders_total"),
        ("status = 'paid' order by placed_at desc, id desc limit 21".into(), "orders_status"),
        ("status = any('{paid,processing}') order by placed_at desc, id desc limit 21".into(), "orders_status"),
        ("fulfilment_status = 'partial' order by placed_at desc, id desc limit 21".into(), "orders_partly_sent"),
        ("shipping_address ->> 'country' = 'ZM' order by placed_at desc, id desc limit 21".into(), "orders_country"),
        ("email = 'buyer7@example.com' order by placed_at desc, id desc limit 21".into(), "orders_email"),
        (format!("id in (select id from orders where {text}('buyer777'))"), "orders_search"),
        (format!("id in (select id from orders where {text}('8010000777'))"), "orders_search"),
        ("id in (select order_id from fulfilments where lower(tracking_number) = lower('X'))".into(), "fulfilments"),
        // What a buyer has still to pay on delivery: few of all orders, so that more than one index is as good.
        (format!("email = 'buyer7@example.com' and {owed}"), "orders_"),
        (format!("shipping_address ->> 'phone' = '+2348010000777' and {owed}"), "orders_owed_by"),
    ] {
        let sql = format!("explain select id from orders o where {question}");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&shop.database.pool).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan on orders"), "{question}:\n{plan}");
    }
    // Of more than are counted, the total says that it is about right, and deep pages are a cursor's.
    let admin = shop.staff(Role::Admin).await;
    let body = list(&shop, &admin, &[("limit", "1")]).await;
    assert_eq!(body["pagination"]["totalIsEstimate"], true, "{}", body["pagination"]);
    let deep = shop.get("/admin/orders?page=600&limit=20").token(&admin).send().await;
    assert_eq!(deep.expect_error(400, "VALIDATION_ERROR"), ["page"]);
}

/// The buyer reads what is written for him and nothing else; the staff reads all, with who wrote it.
#[tokio::test]
async fn notes_are_read_by_whom_they_are_for() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    let path = format!("/admin/orders/{}", order["id"].as_str().unwrap());
    let note = |body: Value| {
        let call = shop.post(&format!("{path}/notes")).token(&admin).json(&body);
        async move { call.send().await }
    };
    note(json!({"text": "Paid with a stolen card?"})).await.expect(201);
    note(json!({"text": "Leaves us on Monday", "visibleToCustomer": true})).await.expect(201);
    for (body, field) in [
        (json!({"text": ""}), "text"),
        (json!({"text": "x".repeat(2_001)}), "text"),
        (json!({"text": "x", "visibleToCustomer": "no"}), "visibleToCustomer"),
        (json!({"text": "x", "pinned": true}), "pinned"),
    ] {
        assert_eq!(note(body).await.expect_error(400, "VALIDATION_ERROR"), [field]);
    }
    let body = json!({"status": "processing", "notes": "Look at the card first"});
    shop.patch(&format!("{path}/status")).token(&admin).json(&body).send().await.expect(200);
    let mine = format!("/orders/{}", order["id"].as_str().unwrap());
    let track = json!({"orderNumber": order["orderNumber"], "email": "ama@example.com"});
    let export = shop.get("/privacy/export").token(&ama).send().await;
    for answer in [
        shop.get(&mine).token(&ama).send().await,
        shop.get(&mine).token(&admin).send().await,
        shop.post("/orders/track").json(&track).send().await,
        export,
    ] {
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("Leaves us on Monday") && answer.text.contains("processing"), "{}", answer.text);
        for secret in ["stolen", "Look at the card"] {
            assert!(!answer.text.contains(secret), "{secret}: {}", answer.text);
        }
    }
    let seen = shop.get(&path).token(&admin).send().await.expect(200)["order"].clone();
    let notes: Vec<_> = seen["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["actor"] == "staff")
        .map(|event| {
            (event["note"].as_str().unwrap(), event["internal"].as_bool().unwrap(), event["actorId"].is_string())
        })
        .collect();
    let expected = [
        ("Paid with a stolen card?", true, true),
        ("Leaves us on Monday", false, true),
        ("Look at the card first", true, true),
    ];
    assert_eq!(notes, expected);
    assert_eq!(seen["payments"][0]["status"], "success");
    let me = shop.get("/auth/me").token(&ama).send().await.expect(200)["user"]["id"].clone();
    assert_eq!(seen["customerId"], me);
    let merchant = shop.staff(Role::Finance).await;
    let call = shop.post(&format!("{path}/notes")).token(&merchant).json(&json!({"text": "x"}));
    call.send().await.expect_error(403, "AUTHORIZATION_ERROR");
}

/// A mail that did not come is sent again, as often as a day allows; what has not happened is not told.
#[tokio::test]
async fn mails_are_sent_again() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let path = format!("/admin/orders/{}/mails", order["id"].as_str().unwrap());
    let send = async |body: Value| shop.post(&path).token(&admin).json(&body).send().await;
    for kind in ["shipped", "delivered", "cancelled"] {
        send(json!({"kind": kind})).await.expect_error(409, "CONFLICT");
    }
    for body in [json!({"kind": "spam"}), json!({}), json!({"kind": "receipt", "to": "x@example.com"})] {
        send(body).await.expect_error(400, "VALIDATION_ERROR");
    }
    let answers = futures::future::join_all((0..8).map(|_| send(json!({"kind": "receipt"})))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 4, "{answers:?}");
    assert_eq!(shop.mails("payment_receipt").await.len(), 5);
    send(json!({"kind": "confirmation"})).await.expect(200);
    assert_eq!(shop.mails("order_confirmation").await.len(), 2);
    shop.app.clock.advance(chrono::TimeDelta::hours(25));
    let admin = shop.login("admin@agape.example").await;
    shop.post(&path).token(&admin).json(&json!({"kind": "receipt"})).send().await.expect(200);
    shop.set_status(&admin, &order, "shipped").await.expect(200);
    shop.wait_for_jobs().await;
    shop.post(&path).token(&admin).json(&json!({"kind": "shipped"})).send().await.expect(200);
    assert_eq!(shop.mails("order_shipped").await.len(), 2);
    let to = "select count(*) from emails where order_id is not null and recipient <> 'ama@example.com'";
    assert_eq!(shop.database.count(to).await, 0);
}

/// The file has what was asked for, nothing in it is a formula, and taking it away is on record.
#[tokio::test]
async fn orders_are_exported() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    for name in ["=HYPERLINK(1)", "Kofi, \"the tall\""] {
        let mut to = address();
        to["firstName"] = json!(name);
        let body = json!({"email": "kofi@example.com", "items": [{"variantId": product.variant, "quantity": 2}],
                          "shippingAddress": to});
        shop.post("/orders").json(&body).send().await.expect(201);
    }
    many(&shop, 1_200).await;
    let answer = shop.get("/admin/exports/orders?customer=kofi@example.com").token(&admin).send().await;
    assert_eq!(answer.header("content-type").as_deref(), Some("text/csv; charset=utf-8"));
    let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
    let headings = reader.headers().unwrap().clone();
    let place = |name: &str| headings.iter().position(|heading| heading == name).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0][place("First name")], &rows[1][place("First name")]),
        ("'=HYPERLINK(1)", "Kofi, \"the tall\"")
    );
    assert_eq!((&rows[0][place("Phone")], &rows[0][place("Units")]), ("'+2348031234567", "2"));
    assert_eq!(&rows[0][place("Status")], "pending_payment");
    // Longer than one reading.
    let all = shop.get("/admin/exports/orders").token(&admin).send().await.text;
    assert_eq!(all.lines().count(), 1_203);
    let wrong = shop.get("/admin/exports/orders?status=lost").token(&admin).send().await;
    assert_eq!(wrong.expect_error(400, "VALIDATION_ERROR"), ["status"]);
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'order.export'").await, 2);
}

/// What can be bought of an old order is in the cart, beside what was there; what cannot is told with its reason.
#[tokio::test]
async fn an_order_is_ordered_again() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer("ama@example.com").await;
    let [plenty, gone, few, out] = ["PLENTY", "GONE", "FEW", "OUT"].map(|sku| (sku, if sku == "OUT" { 2 } else { 5 }));
    let mut products = Vec::new();
    for (sku, stock) in [plenty, gone, few, out] {
        products.push(shop.product(&admin, sku, 1_000, stock).await);
    }
    let items: Vec<_> = products.iter().map(|product| json!({"variantId": product.variant, "quantity": 2})).collect();
    let body = json!({"items": items, "shippingAddress": address()});
    let order = shop.post("/orders").token(&ama).json(&body).send().await.expect(201)["order"].clone();
    shop.delete(&format!("/products/{}", products[1].id)).token(&admin).send().await.expect(200);
    shop.order(&ama, &products[2], 2).await;
    let one = json!({"variantId": products[0].variant, "quantity": 1});
    shop.post("/cart/items").token(&ama).json(&one).send().await.expect(200);
    let path = format!("/orders/{}/reorder", order["id"].as_str().unwrap());
    let again = shop.post(&path).token(&ama).send().await.expect(200);
    let told: Vec<_> = again["leftOut"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| {
            (left["title"].as_str().unwrap(), left["quantity"].as_i64().unwrap(), left["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, [("Kente GONE", 2, "not_for_sale"), ("Kente FEW", 1, "limited"), ("Kente OUT", 2, "sold_out")]);
    let cart = shop.get("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    let lines: Vec<_> = cart["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["sku"].as_str().unwrap(), line["quantity"].as_i64().unwrap()))
        .collect();
    assert_eq!(lines, [("PLENTY", 3), ("FEW", 1)]);
    // Caps hold, whoever presses how often.
    for _ in 0..3 {
        shop.post(&path).token(&ama).send().await.expect(200);
    }
    let cart = shop.get("/cart").token(&ama).send().await.expect(200)["cart"].clone();
    assert_eq!(cart["items"][0]["quantity"], 3);
    let ben = shop.customer("ben@example.com").await;
    shop.post(&path).token(&ben).send().await.expect_error(404, "NOT_FOUND");
}
