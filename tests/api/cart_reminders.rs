//! Who left something in his cart is reminded once, if he wants to be.

use agape::features::auth::Role;
use agape::flows::remind_carts::RemindCarts;
use agape::platform::config::Config;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{Answer, FakeSmtp, Product, TestApp, address};

const KIND: &str = "abandoned_cart";

/// A shop in which a sign-in outlasts what these tests wait for.
async fn start(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.auth.access_token_minutes = 60 * 24 * 30;
        change(config);
    })
    .await
}

async fn put(shop: &TestApp, token: &str, product: &Product) -> Value {
    let body = json!({"variantId": product.variant, "quantity": 1});
    shop.post("/cart/items").token(token).json(&body).send().await.expect(200)["cart"].clone()
}

async fn answer(shop: &TestApp, token: &str, granted: bool) {
    let body = json!({"kind": "marketing", "granted": granted, "wording": "newsletter"});
    shop.post("/privacy/consents").token(token).json(&body).send().await.expect(201);
}

async fn verify(shop: &TestApp) {
    let sql = "update users set email_verified_at = created_at where email_verified_at is null";
    sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
}

/// Somebody who has agreed, has confirmed his address, and has something in the cart. Gives his token.
async fn reader(shop: &TestApp, email: &str, product: &Product) -> String {
    let token = shop.customer(email).await;
    // Whoever is verified before his mail is written gets none.
    shop.wait_for_jobs().await;
    verify(shop).await;
    answer(shop, &token, true).await;
    put(shop, &token, product).await;
    token
}

fn pass(shop: &TestApp, hours: i64) {
    shop.app.clock.advance(TimeDelta::hours(hours));
}

/// Runs the job once. Gives how many reminders there are in all.
async fn run(shop: &TestApp) -> usize {
    RemindCarts {}.run(&shop.app).await.unwrap();
    shop.mails(KIND).await.len()
}

async fn body_of(shop: &TestApp) -> String {
    let sql = "select body_text from emails where kind = $1 order by created_at desc, id desc limit 1";
    sqlx::query_scalar(sql).bind(KIND).fetch_one(&shop.database.pool).await.unwrap()
}

/// The page of the link in the last reminder.
async fn link(shop: &TestApp) -> String {
    let text = body_of(shop).await;
    text.lines().find(|line| line.contains("/unsubscribe?token=")).unwrap().to_owned()
}

/// After some hours, not before; with what is in the cart; once, until the cart was emptied and filled anew.
#[tokio::test]
async fn a_cart_that_was_left_is_brought_up_once() {
    let shop = start(|config| config.cart.reminder_url = "https://shop.example/cart".into()).await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, batik) = (shop.product(&admin, "KENTE", 1_000, 9).await, shop.product(&admin, "BATIK", 500, 9).await);
    let gone = shop.product(&admin, "GONE", 70, 9).await;
    let ama = reader(&shop, "ama@example.com", &kente).await;
    put(&shop, &ama, &gone).await;
    shop.delete(&format!("/products/{}", gone.id)).token(&admin).send().await.expect(200);
    pass(&shop, 3);
    assert_eq!(run(&shop).await, 0);
    // Whoever is still at it is not disturbed.
    let path = put(&shop, &ama, &batik).await["items"][0]["id"].as_str().map(|id| format!("/cart/items/{id}")).unwrap();
    pass(&shop, 3);
    assert_eq!(run(&shop).await, 0);
    pass(&shop, 2);
    assert_eq!(run(&shop).await, 1);
    let text = body_of(&shop).await;
    for part in ["Kente KENTE", "1 x ₦1,000.00", "Kente BATIK", "\nhttps://shop.example/cart\n", "Hello Ama Mensah,"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("GONE"), "{text}");
    // Not again: neither by time nor by another change.
    assert_eq!(run(&shop).await, 1);
    shop.patch(&path).token(&ama).json(&json!({"quantity": 2})).send().await.expect(200);
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 1);
    shop.delete("/cart").token(&ama).send().await.expect(200);
    put(&shop, &ama, &batik).await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 2);
}

/// Nobody is written to who did not agree, has not confirmed his address, is locked, has bought since, has nothing that can be
/// bought, or left the cart long ago.
#[tokio::test]
async fn nobody_else_is_reminded() {
    let shop = start(|_| {}).await;
    let admin = shop.staff(Role::Admin).await;
    let (kente, last) = (shop.product(&admin, "KENTE", 1_000, 99).await, shop.product(&admin, "LAST", 500, 1).await);
    let silent = shop.customer("silent@example.com").await;
    put(&shop, &silent, &kente).await;
    let withdrawn = reader(&shop, "withdrawn@example.com", &kente).await;
    answer(&shop, &withdrawn, false).await;
    let buyer = reader(&shop, "buyer@example.com", &kente).await;
    reader(&shop, "late@example.com", &last).await;
    let emptied = reader(&shop, "emptied@example.com", &kente).await;
    shop.delete("/cart").token(&emptied).send().await.expect(200);
    let ordered = reader(&shop, "ordered@example.com", &kente).await;
    shop.post("/orders").token(&ordered).json(&json!({"shippingAddress": address()})).send().await.expect(201);
    reader(&shop, "locked@example.com", &kente).await;
    let lock = "update users set suspended_at = now(), suspended_reason = 'x' where email = 'locked@example.com'";
    sqlx::query(lock).execute(&shop.database.pool).await.unwrap();
    let unproven = shop.customer("unproven@example.com").await;
    answer(&shop, &unproven, true).await;
    put(&shop, &unproven, &kente).await;
    let body = json!({"variantId": kente.variant, "quantity": 1});
    shop.post("/cart/items").json(&body).send().await.expect(200);
    shop.order(&admin, &last, 1).await;
    pass(&shop, 1);
    // Something else, while this cart stays as it was.
    shop.order(&buyer, &kente, 1).await;
    pass(&shop, 4);
    assert_eq!(run(&shop).await, 0);
    // Nothing of this was marked: who agrees later is reminded in time, and so is he whose goods came back.
    verify(&shop).await;
    answer(&shop, &silent, true).await;
    assert_eq!(run(&shop).await, 2, "the silent one and the one who had not confirmed");
    pass(&shop, 24 * 8);
    answer(&shop, &withdrawn, true).await;
    assert_eq!(run(&shop).await, 2, "it was left too long ago");
}

/// The setting 0 sends none.
#[tokio::test]
async fn reminders_can_be_switched_off() {
    let shop = start(|config| config.cart.reminder_hours = 0).await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 9).await;
    reader(&shop, "ama@example.com", &kente).await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 0);
}

/// Two servers at the same time, again and again: one mail for each cart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_write_one_reminder() {
    let shop = start(|_| {}).await;
    let other = shop.another(|_| {}).await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 99).await;
    for i in 0..5 {
        reader(&shop, &format!("ama{i}@example.com"), &kente).await;
    }
    pass(&shop, 5);
    let runs = (0..6).map(|i| RemindCarts {}.run(if i % 2 == 0 { &shop.app } else { &other.app }));
    for done in join_all(runs).await {
        done.unwrap();
    }
    assert_eq!(shop.mails(KIND).await.len(), 5);
    let marked = "select count(*) from carts where reminded_at is not null";
    assert_eq!(shop.database.count(marked).await, 5);
}

/// The mark and the mail are one: when the mail cannot be written, the cart is tried again.
#[tokio::test]
async fn a_reminder_that_fails_is_tried_again() {
    let shop = start(|_| {}).await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 99).await;
    reader(&shop, "ama@example.com", &kente).await;
    pass(&shop, 5);
    let run_sql = async |sql: &'static str| sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    run_sql("alter table emails add constraint broken check (kind <> 'abandoned_cart')").await;
    assert!(RemindCarts {}.run(&shop.app).await.is_err());
    assert_eq!(shop.database.count("select count(*) from carts where reminded_at is not null").await, 0);
    run_sql("alter table emails drop constraint broken").await;
    assert_eq!(run(&shop).await, 1);
}

async fn consents(shop: &TestApp, token: &str) -> Value {
    shop.get("/privacy/consents").token(token).send().await.expect(200)["consents"].clone()
}

async fn press(shop: &TestApp, url: &str) -> Answer {
    shop.post(url).form("List-Unsubscribe=One-Click").send().await
}

/// One press takes the consent back, from the mail program's button or the page's; opening the page does not.
#[tokio::test]
async fn one_press_ends_such_mails() {
    let shop = start(|_| {}).await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 9).await;
    let ama = reader(&shop, "ama@example.com", &kente).await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 1);
    let link = link(&shop).await;
    let page = shop.get(&link).send().await;
    assert!(page.status == 200 && page.text.contains("No more such mails?"), "{}", page.text);
    assert_eq!(consents(&shop, &ama).await[0]["granted"], true);
    for _ in 0..2 {
        let done = press(&shop, &link).await;
        assert!(done.status == 200 && done.text.contains("You will get no more such mails"), "{}", done.text);
    }
    let now = consents(&shop, &ama).await;
    assert_eq!((&now[0]["kind"], &now[0]["granted"]), (&json!("marketing"), &json!(false)));
    assert_eq!(shop.database.count("select count(*) from consents").await, 2);
    shop.delete("/cart").token(&ama).send().await.expect(200);
    put(&shop, &ama, &kente).await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 1);

    // A link that is none of the shop's, or was changed, does nothing and says so.
    let token = link.split_once("token=").unwrap().1;
    let user = shop.database.text("select id::text from users where email = 'ama@example.com'").await.unwrap();
    let flipped = format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    for wrong in ["", "x", &token[1..], &flipped, &user] {
        let page = format!("//unsubscribe?token={wrong}");
        for answer in [shop.get(&page).send().await, press(&shop, &page).await] {
            assert!(
                answer.status == 200 && answer.text.contains("This link does not work"),
                "{wrong}: {}",
                answer.text
            );
        }
    }
    assert!(!link.contains(&user) && !link.contains("ama@"), "{link}");
}

/// An erased person is not written to and leaves no mail behind; the link of an old mail harms nothing.
#[tokio::test]
async fn an_erased_person_is_not_reminded() {
    let shop = start(|_| {}).await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 9).await;
    let ama = reader(&shop, "ama@example.com", &kente).await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 1);
    let link = link(&shop).await;
    let body = json!({"password": crate::support::PASSWORD});
    shop.post("/privacy/erase").token(&ama).json(&body).send().await.expect(200);
    assert_eq!(run(&shop).await, 0);
    assert_eq!(press(&shop, &link).await.status, 200);
    assert_eq!(shop.database.count("select count(*) from consents").await, 0);
}

/// On its way out the mail carries the headers of RFC 8058; mails that do not sell have none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_has_the_headers_of_one_click() {
    let server = FakeSmtp::start().await;
    let address = server.address;
    let shop = start(|config| {
        config.mail.provider = "smtp".into();
        config.mail.smtp_url = SecretString::from(format!("smtp://shop:p%40ss@{address}"));
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 9).await;
    // His verification mail is out before his address is confirmed below; one that waits for hours is given up.
    shop.customer("kofi@example.com").await;
    shop.wait_for_jobs().await;
    reader(&shop, "ama@example.com", &kente).await;
    shop.wait_for_jobs().await;
    pass(&shop, 5);
    assert_eq!(run(&shop).await, 1);
    let received = server.received();
    let (reminders, others): (Vec<_>, Vec<_>) =
        received.iter().partition(|mail| mail.data.contains("You left something in your cart"));
    assert!(!others.is_empty() && others.iter().all(|mail| !mail.data.contains("List-Unsubscribe")), "{others:?}");
    assert_eq!(reminders.len(), 1);
    let head = reminders[0].data.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    assert!(head.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{head}");
    let start = format!("List-Unsubscribe: <{}/unsubscribe?token=", shop.url);
    let line = head.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{head}"));
    let url = line.trim_start_matches("List-Unsubscribe: <").trim_end_matches('>');
    assert!(press(&shop, url).await.text.contains("You will get no more such mails"));
}
