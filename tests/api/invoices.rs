//! Invoices: what they say, that no number is left out, who may have them, and where their files are.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use agape::features::invoices::IssueInvoices;
use agape::flows::retention::Retention;
use agape::platform::format::money;
use agape::platform::jobs::Job;
use chrono::{Datelike, TimeDelta, TimeZone, Utc};
use futures::future::join_all;
use lopdf::Document;
use serde_json::{Value, json};

use crate::media::files;
use crate::media_cloudinary;
use crate::refunds::minor;
use crate::support::{FakeS3, Fault, Product, TestApp, address};

struct File {
    status: u16,
    name: String,
    bytes: Vec<u8>,
}

impl File {
    #[track_caller]
    fn text(&self) -> String {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        let document = Document::load_mem(&self.bytes).unwrap();
        let pages: Vec<u32> = document.get_pages().keys().copied().collect();
        document.extract_text(&pages).unwrap().replace(" \n", "\n")
    }
}

fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

async fn invoice(shop: &TestApp, token: &str, order: &Value) -> File {
    let url = format!("{}/api/v1/orders/{}/invoice", shop.url, id(order));
    read(shop.http.get(url).bearer_auth(token)).await
}

async fn tracked(shop: &TestApp, order: &Value, email: &str) -> File {
    let url = format!("{}/api/v1/orders/track/invoice", shop.url);
    read(shop.http.post(url).json(&json!({"orderNumber": order["orderNumber"], "email": email}))).await
}

async fn read(request: reqwest::RequestBuilder) -> File {
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, kind, disposition) = (answer.status().as_u16(), header("content-type"), header("content-disposition"));
    if status == 200 {
        assert_eq!((kind.as_str(), header("cache-control").as_str()), ("application/pdf", "private, no-store"));
    }
    let name = disposition.strip_prefix("attachment; filename=\"").and_then(|rest| rest.strip_suffix(".pdf\""));
    let name = name.unwrap_or_default().to_owned();
    File { status, name, bytes: answer.bytes().await.unwrap().to_vec() }
}

/// Runs statements in one transaction, past the triggers of orders and invoices.
async fn past_the_rules(shop: &TestApp, statements: &[&'static str]) {
    let mut tx = shop.database.pool.begin().await.unwrap();
    let off = ["alter table orders disable trigger user", "alter table invoices disable trigger user"];
    let on = ["alter table orders enable trigger user", "alter table invoices enable trigger user"];
    for sql in off.iter().chain(statements).chain(&on) {
        sqlx::query(*sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Moves the clock on to a first of June, far from the ends of years. Gives its year.
fn to_june(shop: &TestApp) -> i32 {
    let now = shop.app.clock.now();
    let june = |year| Utc.with_ymd_and_hms(year, 6, 1, 12, 0, 0).unwrap();
    let year = if now < june(now.year()) { now.year() } else { now.year() + 1 };
    shop.app.clock.advance(june(year) - now);
    year
}

fn kept(shop: &TestApp) -> Vec<std::path::PathBuf> {
    files(&shop.data_dir().join("media/documents"))
}

/// All that a tax invoice needs is on it, in fonts that it brings along. The job has made it; whoever asks gets that file, which
/// nobody can read where it is kept.
#[tokio::test]
async fn a_paid_order_has_an_invoice() {
    let shop = TestApp::with(|config| {
        config.invoices.seller = "AGAPE Looks Trading Ltd".into();
        config.invoices.tax_number = "12345678-0001".into();
        config.invoices.note = "Goods may be sent back within 14 days.".into();
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 45_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 2).await;
    shop.wait_for_jobs().await;
    let year = order["createdAt"].as_str().unwrap()[..4].to_owned();
    let number = format!("INV-{year}-000001");
    assert_eq!(
        shop.database.text("select number || ' ' || document_stamp from invoices").await.unwrap(),
        format!("{number} paid")
    );

    let file = invoice(&shop, &ama, &order).await;
    let text = file.text();
    assert_eq!(file.name, number);
    for part in [
        "AGAPE Looks Trading Ltd",
        "Tax number 12345678-0001",
        &number,
        order["orderNumber"].as_str().unwrap(),
        "Ama Mensah",
        "1 Broad Street",
        "Lagos, Lagos",
        "Nigeria",
        "ama@example.com",
        "Kente A",
        "₦45,000.00",
        "₦90,000.00",
        "VAT 7.5 %",
        "PAID",
        "Page 1 of 1",
        "within 14 days",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let total = money(minor(&order["total"]), "NGN");
    assert!(text.contains(&total), "{total} is not in:\n{text}");
    assert!(!text.contains("Paid") && !text.contains("Given back"), "the stamp says all:\n{text}");

    let document = Document::load_mem(&file.bytes).unwrap();
    let fonts = document.objects.values().filter_map(|object| object.as_dict().ok());
    let described: Vec<_> = fonts.filter(|dict| dict.has_type(b"FontDescriptor")).collect();
    assert!(described.len() == 2 && described.iter().all(|font| font.has(b"FontFile2")), "{described:?}");

    let places = kept(&shop);
    assert_eq!(places.len(), 1);
    let sealed = std::fs::read(&places[0]).unwrap();
    assert!(!sealed.starts_with(b"%PDF") && sealed.len() > file.bytes.len());
    let name = places[0].file_name().unwrap().to_str().unwrap();
    for path in [format!("{}/media/documents/{name}", shop.url), format!("{}/media/{name}", shop.url)] {
        assert_eq!(shop.http.get(path).send().await.unwrap().status(), 404);
    }
    assert_eq!(invoice(&shop, &ama, &order).await.bytes, file.bytes);
    assert_eq!(kept(&shop), places, "nothing was made again");
}

/// Many are issued at once by two servers, some transactions fail, and every number from 1 on is there once. A new year begins
/// anew. What was issued stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_is_left_out() {
    let shop = TestApp::start().await;
    let year = to_june(&shop);
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 99).await;
    let ama = shop.customer("ama@example.com").await;
    let orders = join_all((0..12).map(|_| shop.order(&ama, &product, 1))).await;
    // Paid past the job, so that those who ask come first.
    let paid = "update orders set status = 'paid', paid_at = now(), paid_minor = total_minor, expires_at = null";
    past_the_rules(&shop, &[paid]).await;
    let other = shop.another(|_| {}).await;
    let failed = async {
        for order in &orders[..4] {
            let mut tx = shop.database.pool.begin().await.unwrap();
            let sql = "insert into invoices (order_id, year, prefix, seller, order_number, currency, total_minor, tax_minor, issued_at)
                       select id, $2, 'INV', '{}', number, currency, total_minor, 0, now() from orders where id = $1 for update";
            let id: uuid::Uuid = id(order).parse().unwrap();
            let _ = sqlx::query(sql).bind(id).bind(year).execute(&mut *tx).await;
            tx.rollback().await.unwrap();
        }
    };
    let asked = orders.iter().flat_map(|order| [invoice(&shop, &ama, order), invoice(&other, &ama, order)]);
    let (files, ()) = futures::join!(join_all(asked), failed);
    let names: BTreeSet<_> = files.iter().map(|file| file.name.clone()).collect();
    let all: BTreeSet<_> = (1..=12).map(|number| format!("INV-{year}-{number:06}")).collect();
    assert_eq!(names, all, "one each, whoever asked");
    assert!(files.iter().all(|file| file.status == 200));

    let next = to_june(&shop);
    assert_eq!(next, year + 1);
    let ama = shop.login("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    assert_eq!(invoice(&shop, &ama, &order).await.name, format!("INV-{next}-000001"));

    for sql in [
        "delete from invoices",
        "truncate invoices",
        "update invoices set sequence = 99 where sequence = 1",
        "update invoices set total_minor = 0",
        "update invoices set seller = '{}'",
    ] {
        let error = sqlx::query(sql).execute(&shop.database.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some("invoices_stay"), "{sql}: {error}");
    }
}

/// One's own, and those of guests who know number and address; staff get all. An unpaid order has none.
#[tokio::test]
async fn an_invoice_is_for_its_buyer_and_the_staff() {
    let shop = TestApp::with(|config| config.limits.auth_per_minute = 5).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let (ama, kofi) = (shop.customer("ama@example.com").await, shop.customer("kofi@example.com").await);
    let unpaid = shop.order(&ama, &product, 1).await;
    assert_eq!(invoice(&shop, &ama, &unpaid).await.status, 409);
    assert_eq!(invoice(&shop, &admin, &unpaid).await.status, 409);
    let order = shop.paid_order(&ama, &product, 1).await;
    assert_eq!(invoice(&shop, &kofi, &order).await.status, 404);
    assert_eq!(invoice(&shop, "nonsense", &order).await.status, 401);
    assert_eq!(tracked(&shop, &order, "kofi@example.com").await.status, 404);
    assert!(tracked(&shop, &order, "Ama@Example.com").await.text().contains("Kente A"));
    let fulfilment = shop.staff(Role::Fulfilment).await;
    for token in [&ama, &admin, &fulfilment] {
        assert!(invoice(&shop, token, &order).await.text().contains("Kente A"));
    }
    let unknown = json!({"id": uuid::Uuid::now_v7()});
    assert_eq!(invoice(&shop, &admin, &unknown).await.status, 404);
    // Who tries numbers is stopped: in the first second of a minute, so that no border is met by chance.
    let elapsed = shop.app.clock.now().timestamp_millis().rem_euclid(60_000);
    shop.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
    let tries = join_all((0..7).map(|_| tracked(&shop, &order, "efe@example.com"))).await;
    let mut statuses: Vec<_> = tries.iter().map(|file| file.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429, 429]);
}

/// What is paid on delivery has an invoice that goes with the parcel, which says so until it is paid; and one that is given up says
/// that, as does one whose goods came back unpaid. The number stays.
#[tokio::test]
async fn the_stamp_says_where_the_payment_stands() {
    let shop = TestApp::with(|config| config.payments.pay_on_delivery = true).await;
    shop.set_rates("update shipping_methods set pays_on_delivery = true where code = 'standard'").await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order_paid_by(&ama, &product, "pay_on_delivery").await.expect(201)["order"].clone();
    shop.wait_for_jobs().await;
    let due = invoice(&shop, &ama, &order).await;
    assert!(due.text().contains("DUE\non delivery") && !due.text().contains("PAID"), "{}", due.text());
    for status in ["shipped", "delivered"] {
        shop.set_status(&admin, &order, status).await.expect(200);
    }
    let money = json!({"amount": order["total"], "reference": "cash-1", "channel": "cash"});
    shop.post(&format!("/admin/orders/{}/payments", id(&order))).token(&admin).json(&money).send().await.expect(201);
    shop.wait_for_jobs().await;
    let stamp = "select document_stamp from invoices where sequence = 1";
    assert_eq!(shop.database.text(stamp).await.unwrap(), "paid", "the job has made it anew");
    let paid = invoice(&shop, &ama, &order).await;
    assert!(paid.text().contains("PAID") && !paid.text().contains("DUE\n"), "{}", paid.text());
    assert_eq!(paid.name, due.name);
    shop.wait_for("the file before to be gone", || async { (kept(&shop).len() == 1).then_some(()) }).await;

    let order = shop.order_paid_by(&ama, &product, "pay_on_delivery").await.expect(201)["order"].clone();
    shop.wait_for_jobs().await;
    shop.post(&format!("/orders/{}/cancel", id(&order))).token(&ama).json(&json!({})).send().await.expect(200);
    assert!(invoice(&shop, &ama, &order).await.text().contains("CANCELLED"));

    // Nobody took it at the door.
    let order = shop.order_paid_by(&ama, &product, "pay_on_delivery").await.expect(201)["order"].clone();
    shop.set_status(&admin, &order, "shipped").await.expect(200);
    shop.wait_for_jobs().await;
    assert!(invoice(&shop, &ama, &order).await.text().contains("DUE\non delivery"));
    let path = format!("/admin/orders/{}/returns", id(&order));
    let item = &order["items"][0]["id"];
    let wish = json!({"items": [{"itemId": item, "quantity": 1, "reason": "changed_mind"}]});
    let back = shop.post(&path).token(&admin).json(&wish).send().await.expect(201)["order"]["returns"][0].clone();
    for decision in [
        json!({"version": 1, "status": "approved"}),
        json!({"version": 2, "status": "received", "items": [{"itemId": item, "restock": 1}]}),
    ] {
        let path = format!("{path}/{}", id(&back));
        shop.patch(&path).token(&admin).json(&decision).send().await.expect(200);
    }
    shop.wait_for_status(&ama, &order, "returned").await;
    let returned = invoice(&shop, &ama, &order).await.text();
    assert!(returned.contains("CANCELLED") && !returned.contains("DUE"), "{returned}");

    let order = shop.paid_order(&ama, &product, 1).await;
    let path = format!("/admin/orders/{}/refunds", id(&order));
    shop.post(&path).token(&admin).json(&json!({})).send().await.expect(201);
    shop.wait_for_status(&ama, &order, "refunded").await;
    assert!(invoice(&shop, &ama, &order).await.text().contains("REFUNDED"));
}

/// Another sum than the total may pay an order, and a part of it may go back: the file says so, and is another one each time.
#[tokio::test]
async fn what_was_paid_and_given_back_is_on_it() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 2).await;
    let page = shop.initialize(&ama, &order).await;
    shop.sandbox_faults(&json!({"amount_delta": -5_000})).await;
    shop.pay(&page).await;
    shop.sandbox_faults(&json!({})).await;
    let payment = shop
        .wait_for("the flagged payment", || async {
            let path = "/admin/payments?status=flagged&undecided=true";
            let listed = shop.get(path).token(&admin).send().await.expect(200);
            listed["payments"].as_array().unwrap().first().cloned()
        })
        .await;
    assert_eq!(invoice(&shop, &ama, &order).await.status, 409);
    let accept = format!("/admin/payments/{}/accept", id(&payment));
    shop.post(&accept).token(&admin).json(&json!({"note": "the rest is waived"})).send().await.expect(200);
    shop.wait_for_jobs().await;
    let paid = money(minor(&order["total"]) - 5_000, "NGN");
    let first = invoice(&shop, &ama, &order).await;
    let text = first.text();
    assert!(text.contains("PAID") && text.contains("Paid") && text.contains(&paid), "{paid} is not in:\n{text}");
    assert!(!text.contains("Given back"), "{text}");
    let before = kept(&shop);
    assert_eq!(before.len(), 1);

    let refund = format!("/admin/orders/{}/refunds", id(&order));
    shop.post(&refund).token(&admin).json(&json!({"amount": 70})).send().await.expect(201);
    shop.wait_for_status(&ama, &order, "partially_refunded").await;
    let second = invoice(&shop, &ama, &order).await;
    let text = second.text();
    for part in ["PAID", "Paid", &paid, "Given back", "-₦70.00"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert_eq!(second.name, first.name);
    shop.wait_for("the file before to be gone", || async { (kept(&shop).len() == 1).then_some(()) }).await;
    let after = kept(&shop);
    assert_ne!(after, before);
    assert_eq!(invoice(&shop, &ama, &order).await.bytes, second.bytes);
    assert_eq!(kept(&shop), after, "nothing was made again");
}

/// What was sold and has no invoice gets one, step by step, the oldest first; what is not sold gets none, and what is old when somebody
/// asks.
#[tokio::test]
async fn orders_without_an_invoice_get_one() {
    let shop = TestApp::with(|config| config.payments.pay_on_delivery = true).await;
    shop.set_rates("update shipping_methods set pays_on_delivery = true where code = 'standard'").await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 99).await;
    let ama = shop.customer("ama@example.com").await;
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(shop.order(&ama, &product, 1).await);
    }
    orders.push(shop.order_paid_by(&ama, &product, "pay_on_delivery").await.expect(201)["order"].clone());
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from invoices").await, 1, "of the one that was accepted");
    past_the_rules(
        &shop,
        &[
            "create temporary table nth on commit drop as
             select id, row_number() over (order by placed_at, id) as n from orders",
            "update orders o set status = 'paid', paid_at = now(), paid_minor = total_minor, expires_at = null
             from nth where nth.id = o.id and n in (1, 3, 6)",
            "update orders o set placed_at = placed_at - interval '401 days' from nth where nth.id = o.id and n = 1",
            "delete from invoices",
            "delete from invoice_years",
        ],
    )
    .await;
    for _ in 0..2 {
        IssueInvoices { issue: 2, look: 2, behind: None }.run(&shop.app).await.unwrap();
        shop.wait_for_jobs().await;
        let issued = "select string_agg(order_number, ' ' order by sequence) from invoices";
        let sold = [&orders[2], &orders[5], &orders[6]].map(|order| order["orderNumber"].as_str().unwrap());
        assert_eq!(shop.database.text(issued).await.unwrap(), sold.join(" "));
    }
    assert!(invoice(&shop, &ama, &orders[0]).await.name.ends_with("-000004"));
    assert_eq!(invoice(&shop, &ama, &orders[1]).await.status, 409);
}

/// A server that knew of no invoices has erased a buyer: his name is given to nobody any more, and the clean-up removes it.
#[tokio::test]
async fn a_name_that_was_left_behind_goes() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let orders = [shop.paid_order(&ama, &product, 1).await, shop.paid_order(&ama, &product, 1).await];
    let other = shop.customer("kofi@example.com").await;
    shop.paid_order(&other, &product, 1).await;
    shop.wait_for_jobs().await;
    let named = "select count(*) from invoices where document_names_buyer";
    assert_eq!((shop.database.count(named).await, kept(&shop).len()), (3, 3));
    let erased = "update orders set email = 'erased-' || id || '@erased.invalid' where email = 'ama@example.com'";
    sqlx::query(erased).execute(&shop.database.pool).await.unwrap();
    let asked = invoice(&shop, &admin, &orders[0]).await.text();
    assert!(!asked.contains("Ama") && !asked.contains("Broad Street"), "{asked}");
    shop.wait_for_jobs().await;
    assert_eq!((shop.database.count(named).await, kept(&shop).len()), (2, 3));
    Retention {}.run(&shop.app).await.unwrap();
    shop.wait_for_jobs().await;
    assert_eq!((shop.database.count(named).await, kept(&shop).len()), (1, 2));
    let without = "select order_number from invoices where document_key is null";
    assert_eq!(shop.database.text(without).await.unwrap(), orders[1]["orderNumber"].as_str().unwrap());
}

/// The name goes with its buyer, from the file too; number and sums stay.
#[tokio::test]
async fn an_erased_buyer_is_on_no_invoice() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    for status in ["shipped", "delivered"] {
        shop.set_status(&admin, &order, status).await.expect(200);
    }
    shop.wait_for_jobs().await;
    let before = invoice(&shop, &admin, &order).await;
    assert!(before.text().contains("Ama Mensah"));
    let old = kept(&shop);
    let body = json!({"password": crate::support::PASSWORD});
    shop.post("/privacy/erase").token(&ama).json(&body).send().await.expect(200);
    shop.wait_for("the file to be gone", || async { kept(&shop).is_empty().then_some(()) }).await;
    let after = invoice(&shop, &admin, &order).await;
    assert!(!after.text().contains("Ama") && !after.text().contains("Broad Street"), "{}", after.text());
    assert!(after.text().contains("₦1,000.00") && after.name == before.name);
    assert_ne!(kept(&shop), old);
}

/// A file that is lost, or sealed with a key that nobody has, is made again; a store that is away keeps nobody from his invoice.
#[tokio::test]
async fn a_lost_file_is_made_again() {
    let s3 = FakeS3::start().await;
    let shop = TestApp::with(|config| s3.configure(config)).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let names = s3.names();
    assert!(names.len() == 1 && names[0].starts_with("documents/"), "{names:?}");
    assert!(!s3.object(&names[0]).unwrap().0.starts_with(b"%PDF"));
    let first = invoice(&shop, &ama, &order).await;
    assert_eq!(s3.count("PUT", &names[0]), 1);
    s3.put(&names[0], b"nonsense", "text/plain");
    assert_eq!(invoice(&shop, &ama, &order).await.text(), first.text());
    shop.wait_for("the nonsense to be gone", || async { (!s3.names().contains(&names[0])).then_some(()) }).await;
    s3.fail(&[Fault::Status(503), Fault::Status(503)]);
    assert_eq!(invoice(&shop, &ama, &order).await.text(), first.text());
}

/// Cloudinary keeps it as a file that nobody can fetch without a signature.
#[tokio::test]
async fn cloudinary_keeps_invoices_too() {
    let (shop, _, _) = media_cloudinary::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.paid_order(&ama, &product, 1).await;
    shop.wait_for_jobs().await;
    let key = "select document_provider || ' ' || document_key || ' ' || document_version from invoices";
    let before = shop.database.text(key).await.unwrap();
    assert!(before.starts_with("cloudinary documents/"), "{before}");
    assert!(invoice(&shop, &ama, &order).await.text().contains("Kente A"));
    assert_eq!(shop.database.text(key).await.unwrap(), before, "it was read, not made again");
}

/// Staff see all, part by part.
#[tokio::test]
async fn staff_list_invoices() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product: Product = shop.product(&admin, "A", 1_000, 9).await;
    let body = json!({"email": "ama@example.com", "items": [{"variantId": product.variant, "quantity": 1}],
                      "shippingAddress": address()});
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shop.post("/orders").json(&body).send().await.expect(201);
        let payment = json!({"orderId": order["order"]["id"], "email": "ama@example.com"});
        let started = shop.post("/payments/initialize").json(&payment).send().await.expect(200);
        shop.pay(&started).await;
        shop.wait_for_paid(&order["order"]).await;
        shop.wait_for_jobs().await;
        orders.push(order["order"].clone());
    }
    let list = |query: String| shop.get(&format!("/admin/invoices?{query}")).token(&admin).send();
    let first = list("limit=2".into()).await;
    let (all, cursor) = (first.body["pagination"]["total"].clone(), first.body["pagination"]["nextCursor"].clone());
    assert_eq!(all, 3);
    let first = first.expect(200)["invoices"].clone();
    let rest = list(format!("limit=2&cursor={}", cursor.as_str().unwrap())).await.expect(200)["invoices"].clone();
    let seen: Vec<_> = first.as_array().unwrap().iter().chain(rest.as_array().unwrap()).collect();
    assert_eq!(seen.len(), 3);
    for (invoice, order) in seen.iter().zip(orders.iter().rev()) {
        assert_eq!((&invoice["orderNumber"], &invoice["orderId"]), (&order["orderNumber"], &order["id"]));
        assert_eq!((&invoice["total"], &invoice["currency"]), (&order["total"], &json!("NGN")));
        assert_eq!(
            invoice["tax"].as_f64().unwrap(),
            order["tax"].as_f64().unwrap() + order["taxIncluded"].as_f64().unwrap()
        );
    }
    let (newest, oldest) = (seen[0]["issuedAt"].as_str().unwrap(), seen[2]["issuedAt"].as_str().unwrap());
    let older = list(format!("until={newest}&limit=1")).await;
    assert_eq!(older.body["pagination"]["total"], 2);
    let cursor = older.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(older.expect(200)["invoices"], json!([seen[1]]));
    let last = list(format!("from={oldest}&until={newest}&limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(last["invoices"], json!([seen[2]]));
    let future = list("from=2200-01-01T00:00:00Z".into()).await.expect(200);
    assert_eq!(future["invoices"], json!([]));
    assert_eq!(list("from=%2B12026-01-01T00:00:00Z".into()).await.expect_error(400, "VALIDATION_ERROR"), ["from"]);
}
