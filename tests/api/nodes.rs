//! Two servers of one shop on one database: what changes on one is not stale on the other. The ages of the caches are an hour
//! here, so that nothing becomes right by waiting.

use std::time::{Duration, Instant};

use agape::features::auth::Role;
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::media::{fetch, upload};
use crate::support::pictures::jpeg;
use crate::support::{Product, TestApp};

/// Two servers that hear each other.
async fn two_servers() -> (TestApp, TestApp) {
    let ages = |config: &mut agape::platform::config::Config| {
        config.cache.product_seconds = 3_600;
        config.auth.session_check_seconds = 3_600;
    };
    let one = TestApp::with(ages).await;
    let other = one.another(ages).await;
    hears(&one).await;
    hears(&other).await;
    (one, other)
}

async fn hears(shop: &TestApp) {
    shop.wait_for("the server to hear", || async { shop.app.hearing.is_good().then_some(()) }).await;
}

async fn is_deaf(shop: &TestApp) {
    shop.wait_for("the server to notice", || async { (!shop.app.hearing.is_good()).then_some(()) }).await;
}

async fn set_price(shop: &TestApp, admin: &str, product: &Product, version: i64, price: i64) {
    let change = json!({"version": version, "price": price});
    shop.patch(&format!("/products/{}", product.id)).token(admin).json(&change).send().await.expect(200);
}

/// The price by id and by slug.
async fn prices(shop: &TestApp, product: &Product) -> [i64; 2] {
    let mut prices = [0; 2];
    for (price, name) in prices.iter_mut().zip([&product.id, &product.slug]) {
        let data = shop.get(&format!("/products/{name}")).send().await.expect(200);
        *price = data["product"]["price"].as_i64().unwrap();
    }
    prices
}

/// Reads until the database is not asked any more.
async fn warm(shop: &TestApp, product: &Product) {
    shop.wait_for("the product to be kept", || async {
        prices(shop, product).await;
        let before = shop.app.product_cache.reads();
        prices(shop, product).await;
        (shop.app.product_cache.reads() == before).then_some(())
    })
    .await;
}

/// A change of a price ends what the other server keeps, however hot it is there, and the old price does not come back.
#[tokio::test]
async fn a_price_changes_on_every_server() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "HOT", 100, 5).await;
    for version in 1..=20 {
        for shop in [&one, &other] {
            warm(shop, &product).await;
        }
        set_price(&one, &admin, &product, version, 100 + version).await;
        // The server that changed it has no excuse.
        assert_eq!(prices(&one, &product).await, [100 + version; 2]);
        let expected = [100 + version; 2];
        other.wait_for("the new price", || async { (prices(&other, &product).await == expected).then_some(()) }).await;
        assert_eq!(prices(&other, &product).await, expected);
    }
}

/// A hundred milliseconds after the answer the other server knows, and by far most often at once.
#[tokio::test]
async fn the_other_server_knows_within_a_hundred_milliseconds() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "HOT", 100, 5).await;
    let mut times = Vec::new();
    for version in 1..=31 {
        warm(&other, &product).await;
        set_price(&one, &admin, &product, version, 100 + version).await;
        let answered = Instant::now();
        while prices(&other, &product).await != [100 + version; 2] {
            assert!(answered.elapsed() < Duration::from_secs(10), "the other server is stale");
        }
        times.push(answered.elapsed());
    }
    times.sort_unstable();
    // The middle one: a busy machine may stop the test itself for longer.
    assert!(times[15] < Duration::from_millis(100), "{times:?}");
}

/// An order takes stock, and its end gives it back, on every server.
#[tokio::test]
async fn stock_changes_on_every_server() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "STOCK", 100, 50).await;
    let ama = one.customer("ama@example.com").await;
    for left in (40..50).rev() {
        warm(&other, &product).await;
        let order = one.order(&ama, &product, 1).await;
        assert_eq!(one.available(&product).await, left);
        other.wait_for("the sold stock", || async { (other.available(&product).await == left).then_some(()) }).await;
        if left == 40 {
            warm(&other, &product).await;
            let path = format!("/orders/{}/cancel", order["id"].as_str().unwrap());
            one.post(&path).token(&ama).json(&json!({})).send().await.expect(200);
            assert_eq!(one.available(&product).await, 41);
            other.wait_for("the freed stock", || async { (other.available(&product).await == 41).then_some(()) }).await;
        }
    }
}

/// What touches everything, such as an import, ends everything.
#[tokio::test]
async fn a_change_of_everything_reaches_every_server() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "ALL", 100, 5).await;
    warm(&other, &product).await;
    let kept = other.app.product_cache.reads();
    one.app.product_cache.clear().await;
    other
        .wait_for("a read of the database", || async {
            prices(&other, &product).await;
            (other.app.product_cache.reads() > kept).then_some(())
        })
        .await;
}

/// A session that ends on one server is over on the other.
#[tokio::test]
async fn a_session_ends_on_every_server() {
    let (one, other) = two_servers().await;
    let ama = one.customer("ama@example.com").await;
    let me = || other.get("/auth/me").token(&ama).send();
    for _ in 0..3 {
        me().await.expect(200);
    }
    one.post("/auth/logout").token(&ama).json(&json!({})).send().await.expect(200);
    one.get("/auth/me").token(&ama).send().await.expect_error(401, "AUTHENTICATION_ERROR");
    other.wait_for("the end of the session", || async { (me().await.status == 401).then_some(()) }).await;
}

/// A server that has lost its ear keeps nothing, from the moment it knows, until it hears again.
#[tokio::test]
async fn a_server_that_hears_nothing_keeps_nothing() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "DEAF", 100, 5).await;
    warm(&other, &product).await;
    let name = &one.database.name;
    let mut server = crate::support::connect("postgres").await;
    let sql = format!("alter database {name} with allow_connections false");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = $1 and application_name = 'agape listener'",
    )
    .bind(name)
    .execute(&mut server)
    .await
    .unwrap();
    is_deaf(&one).await;
    is_deaf(&other).await;
    for version in 1..=10 {
        set_price(&one, &admin, &product, version, 100 + version).await;
        for shop in [&one, &other] {
            assert_eq!(prices(shop, &product).await, [100 + version; 2]);
            assert_eq!(shop.get("//readyz").send().await.status, 200);
        }
    }
    let sql = format!("alter database {name} with allow_connections true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
    hears(&one).await;
    hears(&other).await;
    assert_eq!(prices(&other, &product).await, [110; 2]);
    warm(&other, &product).await;
    set_price(&one, &admin, &product, 11, 111).await;
    other.wait_for("the new price", || async { (prices(&other, &product).await == [111; 2]).then_some(()) }).await;
}

/// A listening connection that stands still without a word is noticed, and what was missed meanwhile is not shown.
#[tokio::test]
async fn an_ear_that_dies_in_silence_is_noticed() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "SILENT", 100, 5).await;
    warm(&other, &product).await;
    let pids: Vec<i32> = sqlx::query_scalar(
        "select pid from pg_stat_activity where datname = current_database() and application_name = 'agape listener'",
    )
    .fetch_all(&one.database.pool)
    .await
    .unwrap();
    assert_eq!(pids.len(), 2);
    for pid in &pids {
        kill(Pid::from_raw(*pid), Signal::SIGSTOP).unwrap();
    }
    is_deaf(&other).await;
    set_price(&one, &admin, &product, 1, 101).await;
    assert_eq!(prices(&other, &product).await, [101; 2]);
    hears(&other).await;
    assert_eq!(prices(&other, &product).await, [101; 2]);
    for pid in &pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
    }
}

/// However many ask for a product that nobody keeps, the database is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_reads_a_product_once() {
    let shop = TestApp::with(|config| config.cache.product_seconds = 3_600).await;
    hears(&shop).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "RUN", 100, 5).await;
    let path = format!("/products/{}", product.slug);
    let before = shop.app.product_cache.reads();
    // The first read waits for this lock, so that the others meet it.
    let mut lock = shop.database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table products in access exclusive mode").execute(&mut *lock).await.unwrap();
    let all = join_all((0..200).map(|_| shop.get(&path).send()));
    let unlock = async {
        shop.wait_for("a read that waits", || async {
            let waiting = shop
                .database
                .count(
                    "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                     where not l.granted and d.datname = current_database()",
                )
                .await;
            (waiting > 0).then_some(())
        })
        .await;
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(all, unlock);
    for answer in answers {
        assert_eq!(answer.expect(200)["product"]["price"], 100);
    }
    assert_eq!(shop.app.product_cache.reads() - before, 1);
    // And who knows the answer already is not sent it again.
    let answer = shop.get(&path).send().await;
    let known = answer.header("etag").unwrap();
    assert_eq!(shop.get(&path).header("if-none-match", &known).send().await.status, 304);
    assert_eq!(shop.app.product_cache.reads() - before, 1);
}

/// That there is no such product is not remembered: it may be made in the next moment.
#[tokio::test]
async fn a_new_product_is_found_under_a_name_that_was_unknown() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    for shop in [&one, &other] {
        shop.get("/products/kente-new").send().await.expect_error(404, "NOT_FOUND");
    }
    let product = one.product(&admin, "NEW", 100, 5).await;
    assert_eq!(product.slug, "kente-new");
    for shop in [&one, &other] {
        assert_eq!(prices(shop, &product).await, [100; 2]);
    }
}

/// A picture that is deleted on one server is shown by no other, though that one has its sizes in memory; nor by one that was
/// down and has them on its disk.
#[tokio::test]
async fn a_deleted_picture_is_gone_on_every_server() {
    let (one, other) = two_servers().await;
    let admin = one.staff(Role::Admin).await;
    let asset = upload(&one, &admin, &jpeg(300, 300)).await;
    let thumbnail = asset["presets"]["thumbnail"].as_str().unwrap().strip_prefix(&one.url).unwrap();
    let status = async |shop: &TestApp| fetch(shop, &format!("{}{thumbnail}", shop.url)).await.0;
    assert_eq!((status(&one).await, status(&other).await), (200, 200));
    // Its disk is its own in a real shop.
    let (cache, aside) = (one.data_dir().join("media/cache"), one.data_dir().join("aside"));
    std::fs::rename(&cache, &aside).unwrap();
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    one.delete(&path).token(&admin).send().await.expect(200);
    one.wait_for_jobs().await;
    assert_eq!(status(&one).await, 404);
    other.wait_for("the other server to hear", || async { (status(&other).await == 404).then_some(()) }).await;

    let _ = std::fs::remove_dir_all(&cache);
    std::fs::rename(&aside, &cache).unwrap();
    let late = one.another(|_| {}).await;
    assert_eq!(status(&late).await, 404);
}

/// A job of a newer version waits for a server that knows it, and has all its tries then.
#[tokio::test]
async fn a_job_that_nobody_knows_keeps_its_tries() {
    let shop = TestApp::start().await;
    for kind in ["job_of_a_newer_version", "count_popularity"] {
        let sql = "select enqueue_job($1, '{}')";
        sqlx::query(sql).bind(kind).execute(&shop.database.pool).await.unwrap();
    }
    // It came first, so it would have been taken first.
    shop.wait_for("the job behind it", || async {
        let open = "select count(*) from river_job where kind = 'count_popularity' and state <> 'completed'";
        (shop.database.count(open).await == 0).then_some(())
    })
    .await;
    let job = "select state::text || ' ' || attempt::text from river_job where kind = 'job_of_a_newer_version'";
    assert_eq!(shop.database.text(job).await.unwrap(), "available 0");
}
