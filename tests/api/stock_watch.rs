//! What the watch over stock tells: the staff what is low, and those who asked what is back. Each once.

use agape::features::auth::Role;
use agape::flows::stock_watch::WatchStock;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Product, TestApp};

const AMA: &str = "ama@example.com";

/// Lets the watch look at all that has happened. The shop's own may be at it, and then this one leaves it to that.
pub async fn watch(shop: &TestApp) {
    let seen = "select count(*) from stock_watch
                where seen_id >= (select coalesce(max(id), 0) from stock_movements) and walked_at is not null";
    shop.wait_for("the watch", || async {
        WatchStock {}.run(&shop.app).await.unwrap();
        (shop.database.count(seen).await == 1).then_some(())
    })
    .await;
    shop.wait_for_jobs().await;
}

async fn set(shop: &TestApp, staff: &str, product: &Product, units: i64) {
    let body = json!({"set": units, "reason": "count"});
    shop.patch(&format!("/admin/inventory/{}", product.variant)).token(staff).json(&body).send().await.expect(200);
}

async fn ask(shop: &TestApp, product: &Product, email: &str) -> Answer {
    let path = format!("/products/{}/back-in-stock", product.id);
    shop.post(&path).json(&json!({"email": email})).send().await
}

async fn recipients(shop: &TestApp, kind: &str) -> Vec<String> {
    sqlx::query_scalar("select recipient from emails where kind = $1 order by created_at, id")
        .bind(kind)
        .fetch_all(&shop.database.pool)
        .await
        .unwrap()
}

/// One mail for all that fell in a minute, to those who keep stock; none again until it has risen; what is created low, is
/// hidden, or is low by another threshold is no news.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fall_is_told_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for role in [Role::Merchant, Role::Fulfilment, Role::Finance] {
        shop.staff(role).await;
    }
    let ama = shop.customer(AMA).await;
    let one = shop.product(&admin, "ONE", 1_000, 12).await;
    let two = shop.product(&admin, "TWO", 1_000, 12).await;
    shop.product(&admin, "BORN-LOW", 1_000, 2).await;
    let hidden = shop.product(&admin, "HIDDEN", 1_000, 20).await;
    let body = json!({"version": 1, "isActive": false});
    shop.patch(&format!("/products/{}", hidden.id)).token(&admin).json(&body).send().await.expect(200);
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await, [""; 0]);

    shop.order(&ama, &one, 2).await;
    set(&shop, &admin, &two, 0).await;
    set(&shop, &admin, &hidden, 1).await;
    let threshold = json!({"lowStockThreshold": 50});
    let path = format!("/admin/inventory/{}", two.variant);
    shop.patch(&path).token(&admin).json(&threshold).send().await.expect(200);
    watch(&shop).await;
    let staff = ["admin@agape.example", "merchant@agape.example", "fulfilment@agape.example"];
    assert_eq!(recipients(&shop, "low_stock").await, staff);
    assert_eq!(shop.mails("low_stock").await, ["Low stock: 2 variants"; 3]);
    let text = shop.database.text("select body_text from emails where kind = 'low_stock' limit 1").await.unwrap();
    assert!(text.contains("0 left of Kente TWO\n") && text.contains("SKU TWO, warned at 50"), "{text}");
    assert!(text.find("0 left of Kente TWO").unwrap() < text.find("10 left of Kente ONE").unwrap(), "{text}");
    assert!(!text.contains("BORN-LOW") && !text.contains("HIDDEN"), "{text}");

    set(&shop, &admin, &one, 9).await;
    watch(&shop).await;
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await.len(), 3, "it is low already");
    set(&shop, &admin, &one, 40).await;
    watch(&shop).await;
    set(&shop, &admin, &one, 5).await;
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await[3..], ["Low stock: Kente ONE (3 left)"; 3]);
    // An own threshold below the stock makes it enough, and one above makes it low, which who set it knows.
    for threshold in [0, 30] {
        let body = json!({"lowStockThreshold": threshold});
        let path = format!("/admin/inventory/{}", one.variant);
        shop.patch(&path).token(&admin).json(&body).send().await.expect(200);
        let low = "select count(*) from stock_low l join variants v on v.id = l.variant_id where v.sku = 'ONE'";
        assert_eq!(shop.database.count(low).await, i64::from(threshold == 30));
    }
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await.len(), 6);
}

/// A movement whose transaction commits after a later one was looked at is looked at too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_is_not_missed() {
    let shop =
        TestApp::with(|config| config.inventory.low_stock_emails = vec!["stock@shop.example".parse().unwrap()]).await;
    let admin = shop.staff(Role::Admin).await;
    let late = shop.product(&admin, "LATE", 1_000, 100).await;
    let other = shop.product(&admin, "OTHER", 1_000, 100).await;
    watch(&shop).await;
    let mut slow = shop.database.pool.begin().await.unwrap();
    let sell = "with sold as (update stock_levels set on_hand = 1 where variant_id = $1::uuid returning variant_id)
                insert into stock_movements (variant_id, on_hand_delta, reserved_delta, reason, at)
                select variant_id, -99, 0, 'commit', now() from sold";
    sqlx::query(sell).bind(&late.variant).execute(&mut *slow).await.unwrap();
    for units in [50, 60, 70] {
        set(&shop, &admin, &other, units).await;
        watch(&shop).await;
    }
    slow.commit().await.unwrap();
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await, ["Low stock: Kente LATE (1 left)"]);
    assert_eq!(recipients(&shop, "low_stock").await, ["stock@shop.example"]);
    // Once nothing is open any more, the watch does not go back. (Other databases' transactions count.)
    let settled = "select count(*) from stock_watch where settled_id = (select max(id) from stock_movements)";
    shop.wait_for("the ledger to be settled", || async {
        WatchStock {}.run(&shop.app).await.unwrap();
        (shop.database.count(settled).await == 1).then_some(())
    })
    .await;
}

/// Many looks at once, and a shop with other settings: one mail, or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_looks_tell_once_and_a_shop_can_do_without() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 50).await;
    watch(&shop).await;
    set(&shop, &admin, &one, 1).await;
    for look in join_all((0..6).map(|_| WatchStock {}.run(&shop.app))).await {
        look.unwrap();
    }
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await.len(), 1);
    // With a lower threshold in the settings, the daily walk forgets it; with a higher one it is low again, and no news.
    let low = "select count(*) from stock_low";
    let shop = shop.restart(|config| config.inventory.low_stock = 0).await;
    shop.app.clock.advance(TimeDelta::hours(25));
    shop.wait_for("the walk", || async {
        WatchStock {}.run(&shop.app).await.unwrap();
        (shop.database.count(low).await == 0).then_some(())
    })
    .await;
    let shop = shop.restart(|config| config.inventory.low_stock_mail = false).await;
    shop.app.clock.advance(TimeDelta::hours(25));
    shop.wait_for("the walk", || async {
        WatchStock {}.run(&shop.app).await.unwrap();
        (shop.database.count(low).await == 1).then_some(())
    })
    .await;
    let admin = shop.login("admin@agape.example").await;
    set(&shop, &admin, &one, 60).await;
    watch(&shop).await;
    set(&shop, &admin, &one, 2).await;
    watch(&shop).await;
    assert_eq!(shop.mails("low_stock").await.len(), 1, "mails are switched off");
    assert_eq!(shop.database.count(low).await, 1);
}

/// Who asks hears of it once, when there is something to buy, and is forgotten then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_hears_once_that_it_is_back() {
    let shop = TestApp::with(|config| {
        config.store.product_url = "https://shop.example/product/{slug}".into();
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer(AMA).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 1).await;
    ask(&shop, &kente, "kofi@example.com").await.expect_error(409, "CONFLICT");
    set(&shop, &admin, &kente, 0).await;
    let kofi = ask(&shop, &kente, "Kofi@Example.com").await;
    let again = ask(&shop, &kente, "kofi@example.com").await;
    assert_eq!(kofi.text, again.text, "the answer is the same whether it was asked before");
    shop.app.clock.advance(TimeDelta::minutes(1));
    let ama_again = shop.login(AMA).await;
    let path = format!("/products/{}/back-in-stock", kente.id);
    for token in [&ama, &ama_again] {
        shop.post(&path).token(token).json(&json!({"variantId": kente.variant})).send().await.expect(200);
    }
    let level = crate::inventory::level(&shop, &admin, &kente).await;
    assert_eq!(level["waiting"], 2, "the staff see how many wait");
    watch(&shop).await;
    assert_eq!(shop.mails("back_in_stock").await, [""; 0]);

    set(&shop, &admin, &kente, 1).await;
    watch(&shop).await;
    watch(&shop).await;
    assert_eq!(
        recipients(&shop, "back_in_stock").await,
        ["kofi@example.com", AMA],
        "in the order of asking, once each"
    );
    assert_eq!(shop.mails("back_in_stock").await, ["Kente KENTE is back"; 2]);
    let text = shop.database.text("select body_text from emails where kind = 'back_in_stock' limit 1").await.unwrap();
    assert!(text.contains("https://shop.example/product/kente-kente\n") && text.contains("₦1,000.00"), "{text}");
    assert_eq!(shop.database.count("select count(*) from back_in_stock_requests").await, 0);
}

/// What cannot be bought is not told: hidden, removed, or sold out again; it goes on waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_hears_of_what_cannot_be_bought() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 0).await;
    ask(&shop, &kente, AMA).await.expect(200);
    let hide = async |version: i64, active: bool| {
        let body = json!({"version": version, "isActive": active});
        shop.patch(&format!("/products/{}", kente.id)).token(&admin).json(&body).send().await.expect(200);
    };
    hide(1, false).await;
    set(&shop, &admin, &kente, 3).await;
    watch(&shop).await;
    set(&shop, &admin, &kente, 0).await;
    ask(&shop, &kente, AMA).await.expect_error(404, "NOT_FOUND");
    hide(2, true).await;
    watch(&shop).await;
    assert_eq!(shop.mails("back_in_stock").await, [""; 0]);
    set(&shop, &admin, &kente, 2).await;
    watch(&shop).await;
    assert_eq!(shop.mails("back_in_stock").await.len(), 1);
}

/// Requests have bounds: what is asked for, by whom, and how much of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_have_bounds() {
    let shop = TestApp::with(|config| config.limits.auth_per_minute = 30).await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer(AMA).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 0).await;
    let path = format!("/products/{}/back-in-stock", kente.id);
    for (token, body, status, fields) in [
        (None, json!({}), 400, vec!["email"]),
        (None, json!({"email": "nobody"}), 400, vec!["email"]),
        (None, json!({"email": AMA, "phone": "1"}), 400, vec!["phone"]),
        (Some(&ama), json!({"email": "other@example.com"}), 400, vec!["email"]),
        (None, json!({"email": AMA, "variantId": uuid::Uuid::now_v7()}), 404, vec![]),
    ] {
        let call = shop.post(&path).json(&body);
        let answer = if let Some(token) = token { call.token(token) } else { call }.send().await;
        let code = if status == 404 { "NOT_FOUND" } else { "VALIDATION_ERROR" };
        assert_eq!(answer.expect_error(status, code), fields, "{body}");
    }
    // Ten at once, of one address, are one request; the limit of attempts is counted by address and by account.
    let answers = join_all((0..10).map(|_| ask(&shop, &kente, AMA))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:#?}");
    assert_eq!(shop.database.count("select count(*) from back_in_stock_requests").await, 1);
    let mut last = ask(&shop, &kente, AMA).await;
    for _ in 0..30 {
        if last.status == 429 {
            break;
        }
        last = ask(&shop, &kente, AMA).await;
    }
    last.expect_error(429, "RATE_LIMIT_EXCEEDED");
}

/// An address waits for twenty at most, also when it asks for all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_waits_for_twenty() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for n in 0..24 {
        products.push(shop.product(&admin, &format!("S-{n}"), 1_000, 0).await);
    }
    let answers = join_all(products.iter().map(|product| ask(&shop, product, AMA))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 4);
    for answer in refused {
        assert_eq!(answer.expect_error(409, "CONFLICT"), [""; 0]);
    }
    assert_eq!(shop.database.count("select count(*) from back_in_stock_requests").await, 20);
}

/// The link in the mail takes all other requests of the address back: its page asks first, and a made-up link does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_of_a_mail_takes_requests_back() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (one, two) = (shop.product(&admin, "ONE", 1_000, 0).await, shop.product(&admin, "TWO", 1_000, 0).await);
    for product in [&one, &two] {
        ask(&shop, product, AMA).await.expect(200);
        ask(&shop, product, "kofi@example.com").await.expect(200);
    }
    set(&shop, &admin, &one, 1).await;
    watch(&shop).await;
    let mail = "select body_text from emails where kind = 'back_in_stock' and recipient = 'ama@example.com'";
    let text = shop.database.text(mail).await.unwrap();
    let link = text.lines().find(|line| line.contains("/back-in-stock/stop?token=")).unwrap().to_owned();
    let token = link.split('=').next_back().unwrap().to_owned();
    let waiting = "select count(*) from back_in_stock_requests";
    let page = shop.get(&link).send().await;
    assert!(page.status == 200 && page.text.contains(AMA) && page.text.contains("<button"), "{}", page.text);
    assert_eq!(shop.database.count(waiting).await, 2, "opening a link changes nothing");
    let stop = async |token: String| {
        let form = reqwest::Body::from(format!("token={token}"));
        shop.post("//back-in-stock/stop").bytes("application/x-www-form-urlencoded", form).send().await
    };
    let mut forged = token.clone();
    forged.replace_range(30..31, if &token[30..31] == "0" { "1" } else { "0" });
    for bad in [String::new(), "x".into(), "00".repeat(40), forged] {
        let page = stop(bad).await;
        assert!(page.status == 200 && page.text.contains("This link does not work"), "{}", page.text);
    }
    assert_eq!(shop.database.count(waiting).await, 2);
    assert!(stop(token.clone()).await.text.contains("You are off the list"));
    assert_eq!(
        shop.database.text("select email from back_in_stock_requests").await.as_deref(),
        Some("kofi@example.com")
    );
    assert!(stop(token).await.text.contains("You are off the list"), "a second press is no fault");
}

/// A request is in the export of a person's data, goes when he is erased, also while its mail is being written, and after
/// half a year.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_personal() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let ama = shop.customer(AMA).await;
    let kente = shop.product(&admin, "KENTE", 1_000, 0).await;
    let path = format!("/products/{}/back-in-stock", kente.id);
    shop.post(&path).token(&ama).json(&json!({})).send().await.expect(200);
    ask(&shop, &kente, "kofi@example.com").await.expect(200);
    let data = shop.get("/privacy/export").token(&ama).send().await.expect(200);
    assert_eq!(data["backInStockRequests"].as_array().unwrap().len(), 1);
    assert_eq!(data["backInStockRequests"][0]["sku"], "KENTE");
    let body = json!({"password": crate::support::PASSWORD});
    let (erased, ()) = tokio::join!(shop.post("/privacy/erase").token(&ama).json(&body).send(), async {
        set(&shop, &admin, &kente, 5).await;
        WatchStock {}.run(&shop.app).await.unwrap();
    });
    erased.expect(200);
    shop.wait_for_jobs().await;
    let left: Option<Value> = sqlx::query_scalar(
        "select jsonb_agg(recipient) from emails where recipient = 'ama@example.com' or user_id is not null",
    )
    .fetch_one(&shop.database.pool)
    .await
    .unwrap();
    assert!(left.is_none_or(|left| !left.to_string().contains(AMA)));
    set(&shop, &admin, &kente, 0).await;
    ask(&shop, &kente, "efua@example.com").await.expect(200);
    for (days, left) in [(179, 1), (2, 0)] {
        shop.app.clock.advance(TimeDelta::days(days));
        Job::run(agape::flows::retention::Retention {}, &shop.app).await.unwrap();
        assert_eq!(shop.database.count("select count(*) from back_in_stock_requests").await, left, "{days}");
    }
}
