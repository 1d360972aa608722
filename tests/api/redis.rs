//! Redis, where the shop has one: what servers share there, and that nobody notices when it is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agape::features::auth::Role;
use agape::platform::cache::{Found, SharedCache};
use agape::platform::config::Config;
use agape::platform::ids::ProductId;
use agape::platform::rate_limit::{Class, Key};
use agape::platform::redis::Redis;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::support::{Answer, Product, TestApp, TestRedis, address};

/// A shop with this Redis, which keeps products for an hour.
fn with(redis: &TestRedis) -> impl Fn(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.redis.url = url.clone().into();
        config.redis.prefix = "shop".into();
        config.cache.product_seconds = 3_600;
    }
}

async fn hears(shop: &TestApp) {
    shop.wait_for("the server to hear", || async { shop.app.hearing.is_good().then_some(()) }).await;
}

/// Two servers with this Redis that hear each other.
async fn two_servers(redis: &TestRedis) -> (TestApp, TestApp) {
    let one = TestApp::with(with(redis)).await;
    let other = one.another(with(redis)).await;
    hears(&one).await;
    hears(&other).await;
    (one, other)
}

async fn is_up(shop: &TestApp, expected: bool) {
    let redis = shop.app.redis.as_ref().unwrap();
    shop.wait_for("Redis to go or come", || async { (redis.is_up() == expected).then_some(()) }).await;
}

async fn price(shop: &TestApp, name: &str) -> Value {
    shop.get(&format!("/products/{name}")).send().await.expect(200)["product"]["price"].clone()
}

async fn set_price(shop: &TestApp, admin: &str, product: &Product, version: i64, price: i64) {
    let change = json!({"version": version, "price": price});
    shop.patch(&format!("/products/{}", product.id)).token(admin).json(&change).send().await.expect(200);
}

async fn count(shop: &TestApp, token: &str) -> Value {
    shop.get("/cart").token(token).send().await.expect(200)["cart"]["itemCount"].clone()
}

async fn add(shop: &TestApp, token: &str, product: &Product) -> Answer {
    let body = json!({"variantId": product.variant, "quantity": 1});
    shop.post("/cart/items").token(token).json(&body).send().await
}

/// Two servers count together, with Redis; without it, and while it is gone, each for itself.
#[tokio::test]
async fn servers_share_their_limits() {
    let mut redis = TestRedis::start();
    let limited = |config: &mut Config| {
        with(&redis)(config);
        config.limits.public_per_minute = 6;
    };
    let one = TestApp::with(limited).await;
    let other = one.another(limited).await;
    let new_minute = || {
        let elapsed = one.app.clock.now().timestamp_millis().rem_euclid(60_000);
        one.app.clock.advance(TimeDelta::milliseconds(120_000 - elapsed));
    };
    let look = async |shop: &TestApp| shop.get("/products").send().await;
    new_minute();
    for remaining in [5, 3, 1] {
        let answer = look(&one).await;
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining.to_string()), "{answer:?}");
        let answer = look(&other).await;
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((remaining - 1).to_string()), "{answer:?}");
    }
    for shop in [&one, &other] {
        look(shop).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    }
    redis.stop();
    new_minute();
    for shop in [&one, &other] {
        for _ in 0..6 {
            look(shop).await.expect(200);
        }
        look(shop).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    }
    redis.start_again();
    is_up(&one, true).await;
    is_up(&other, true).await;
    new_minute();
    for _ in 0..3 {
        look(&one).await.expect(200);
        look(&other).await.expect(200);
    }
    for shop in [&one, &other] {
        look(shop).await.expect_error(429, "RATE_LIMIT_EXCEEDED");
    }
}

/// What memory has counted while Redis was away is given back there, and not to what Redis has counted since.
#[tokio::test]
async fn what_is_given_back_goes_where_it_was_counted() {
    let mut redis = TestRedis::start();
    let shop = TestApp::with(|config| {
        with(&redis)(config);
        config.limits.auth_per_minute = 2;
    })
    .await;
    let (limiter, kofi, now) = (&shop.app.rate_limiter, Key::account("kofi@example.com"), shop.app.clock.now());
    is_up(&shop, true).await;
    redis.stop();
    let (_, in_memory) = limiter.reserve(Class::Auth, &kofi, now).await;
    redis.start_again();
    is_up(&shop, true).await;
    let (verdict, in_redis) = limiter.reserve(Class::Auth, &kofi, now).await;
    assert_eq!(verdict.remaining, 1, "Redis is empty");
    limiter.give_back(in_memory.unwrap()).await;
    assert_eq!(limiter.check(Class::Auth, &kofi, now).await.remaining, 0);
    assert!(!limiter.check(Class::Auth, &kofi, now).await.allowed);
    limiter.give_back(in_redis.unwrap()).await;
    assert!(limiter.check(Class::Auth, &kofi, now).await.allowed);
    assert!(shop.app.redis.as_ref().is_some_and(Redis::is_up));
    // Memory has none.
    redis.stop();
    assert_eq!(limiter.check(Class::Auth, &kofi, now).await.remaining, 1);
}

/// Redis stops, starts, stands still and goes on while everybody shops: no answer is an error, and nobody waits long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_when_redis_goes_and_comes() {
    let mut redis = TestRedis::start();
    let shop = TestApp::with(|config| {
        with(&redis)(config);
        config.limits.public_per_minute = 1_000_000;
        config.limits.auth_per_minute = 1_000_000;
    })
    .await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "LOAD", 100, 100_000).await;
    let ama = shop.customer("ama@example.com").await;
    let ready = shop.get("//readyz").send().await;
    assert_eq!((ready.status, &ready.body["checks"]["redis"]), (200, &json!("ok")));
    let is_over = AtomicBool::new(false);
    let order = json!({
        "email": "buyer@example.com",
        "items": [{"variantId": product.variant, "quantity": 1}],
        "shippingAddress": address(),
    });
    let shopper = async || {
        let mut answers = 0_u32;
        while !is_over.load(Ordering::Relaxed) {
            shop.get(&format!("/products/{}", product.slug)).send().await.expect(200);
            shop.get("/cart").token(&ama).send().await.expect(200);
            add(&shop, &ama, &product).await.expect(200);
            shop.delete("/cart").token(&ama).send().await.expect(200);
            shop.post("/orders").json(&order).send().await.expect(201);
            let login = json!({"email": "ama@example.com", "password": crate::support::PASSWORD});
            shop.post("/auth/login").json(&login).send().await.expect(200);
            answers += 6;
        }
        answers
    };
    let trouble = async {
        for _ in 0..3 {
            redis.stop();
            is_up(&shop, false).await;
            let ready = shop.get("//readyz").send().await;
            assert_eq!((ready.status, &ready.body["status"]), (200, &json!("ready")), "{}", ready.text);
            assert!(ready.body["checks"]["redis"].as_str().unwrap().contains("goes on without"), "{}", ready.text);
            redis.start_again();
            is_up(&shop, true).await;
            redis.freeze();
            is_up(&shop, false).await;
            redis.thaw();
            is_up(&shop, true).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (first, second, third, ()) = tokio::join!(shopper(), shopper(), shopper(), trouble);
    assert!(first > 0 && second > 0 && third > 0);
}

/// With rediss:// the first word to the server is that of TLS.
#[tokio::test]
async fn rediss_speaks_tls() {
    let server = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut config = Config::defaults().unwrap().redis;
    config.url = format!("rediss://:secret@{}", server.local_addr().unwrap()).into();
    let hello = async {
        let (mut client, _) = server.accept().await.unwrap();
        client.read_u8().await.unwrap()
    };
    let (redis, hello) = tokio::join!(Redis::connect(&config), hello);
    // RFC 8446, 5.1: a handshake.
    assert_eq!(hello, 22);
    assert!(!redis.unwrap().unwrap().is_up());
}

/// A shop starts without its Redis, and uses it as soon as it is there.
#[tokio::test]
async fn a_shop_starts_before_its_redis() {
    let mut redis = TestRedis::start();
    redis.stop();
    let shop = TestApp::with(with(&redis)).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "EARLY", 100, 5).await;
    assert_eq!(price(&shop, &product.slug).await, 100);
    redis.start_again();
    is_up(&shop, true).await;
    shop.wait_for("something in Redis", || async {
        price(&shop, &product.id).await;
        shop.app.product_cache.start_anew();
        let keys: Vec<String> = redis.ask(redis::cmd("KEYS").arg("shop:*"));
        (!keys.is_empty()).then_some(())
    })
    .await;
}

/// What one server has read, the other takes from Redis, until it changes.
#[tokio::test]
async fn servers_share_products() {
    let redis = TestRedis::start();
    let (one, other) = two_servers(&redis).await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "SHARED", 100, 5).await;
    // Each begins with an era of its own.
    price(&other, &product.id).await;
    for version in 1..=10 {
        let expected = 99 + version;
        one.wait_for("a product from Redis", || async {
            assert_eq!(price(&one, &product.id).await, expected);
            let read = other.app.product_cache.reads();
            assert_eq!(price(&other, &product.id).await, expected);
            (other.app.product_cache.reads() == read).then_some(())
        })
        .await;
        let answers = [one.get(&format!("/products/{}", product.id)), other.get(&format!("/products/{}", product.id))];
        let [first, second] = futures::future::join_all(answers.map(|call| call.send())).await.try_into().unwrap();
        assert_eq!((first.header("etag"), first.text), (second.header("etag"), second.text));
        set_price(&one, &admin, &product, version, expected + 1).await;
        assert_eq!(price(&one, &product.id).await, expected + 1);
        let new = json!(expected + 1);
        other.wait_for("the new price", || async { (price(&other, &product.id).await == new).then_some(()) }).await;
    }
    let entries: Vec<String> = redis.ask(redis::cmd("KEYS").arg("shop:product:*"));
    assert!(entries.contains(&format!("shop:product:{}", product.id.replace('-', ""))), "{entries:?}");
}

/// A reader who is slower than a change does not bring back what he read before it.
#[tokio::test]
async fn what_was_read_before_a_change_is_not_shared() {
    let redis = TestRedis::start();
    let (one, other) = two_servers(&redis).await;
    let cache = |shop: &TestApp| {
        SharedCache::new(shop.app.redis.clone(), "probe", Duration::from_secs(60), shop.app.hearing.clone())
    };
    let (one, other, id) = (cache(&one), cache(&other), Uuid::from_u128(7));
    let token = async |cache: &SharedCache| match cache.get(id).await {
        Found::Nothing(token) => token,
        found => panic!("{found:?}"),
    };
    let early = token(&one).await;
    assert!(other.forget(&[id]).await);
    assert!(!one.put(id, &early, b"old").await);
    let late = token(&one).await;
    assert!(!one.put(id, &early, b"old").await);
    assert!(one.put(id, &late, b"new").await);
    match other.get(id).await {
        Found::Entry(entry, rest) => {
            assert_eq!(entry, b"new");
            assert!(rest <= Duration::from_secs(60));
        }
        found => panic!("{found:?}"),
    }
    assert!(other.forget(&[id]).await);
    // Neither after a change of everything, nor after Redis has lost everything, nor when it threw the token or the era out.
    let lose: [&dyn Fn(); 3] =
        [&|| redis.ask(&redis::cmd("FLUSHALL")), &|| redis.ask(redis::cmd("DEL").arg("shop:probe:era")), &|| {
            redis.ask(redis::cmd("DEL").arg(format!("shop:probe:{}:token", id.simple())))
        }];
    for lose in lose {
        let early = token(&one).await;
        lose();
        assert!(!one.put(id, &early, b"old").await);
    }
    let (early, kept) = (token(&one).await, token(&other).await);
    assert!(other.put(id, &kept, b"old").await);
    assert!(other.forget_all().await);
    assert!(!one.put(id, &early, b"old").await);
    token(&one).await;
    token(&other).await;
}

/// A change that Redis was not told because it stood still is not undone when it goes on with what it had.
#[tokio::test]
async fn a_change_that_redis_missed_is_not_undone() {
    let redis = TestRedis::start();
    let (one, other) = two_servers(&redis).await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "MISSED", 100, 5).await;
    let ama = one.customer("ama@example.com").await;
    let id: Uuid = product.id.parse().unwrap();
    let kept = SharedCache::new(one.app.redis.clone(), "product", Duration::from_secs(60), one.app.hearing.clone());
    for version in 1..=3 {
        let (old, new) = (json!(99 + version), json!(100 + version));
        one.app.product_cache.forget(&[ProductId(id)]).await;
        for shop in [&other, &one, &other] {
            assert_eq!(price(shop, &product.id).await, old);
            assert_eq!(count(shop, &ama).await, 0);
        }
        assert!(matches!(kept.get(id).await, Found::Entry(..)));
        let keys: Vec<String> = redis.ask(redis::cmd("KEYS").arg("shop:empty-cart:*"));
        assert!(keys.iter().any(|key| !key.ends_with(":token") && !key.ends_with(":era")), "{keys:?}");
        redis.freeze();
        set_price(&one, &admin, &product, version, 100 + version).await;
        add(&one, &ama, &product).await.expect(200);
        assert_eq!(price(&one, &product.id).await, new);
        assert_eq!(count(&one, &ama).await, 1);
        redis.thaw();
        is_up(&one, true).await;
        is_up(&other, true).await;
        assert_eq!(price(&one, &product.id).await, new);
        assert_eq!(count(&one, &ama).await, 1);
        other.wait_for("the new price", || async { (price(&other, &product.id).await == new).then_some(()) }).await;
        other.wait_for("the full cart", || async { (count(&other, &ama).await == 1).then_some(()) }).await;
        for shop in [&one, &other] {
            assert_eq!(price(shop, &product.id).await, new);
            assert_eq!(count(shop, &ama).await, 1);
        }
        one.delete("/cart").token(&ama).send().await.expect(200);
    }
}

/// A server that cannot reach Redis has the others tell it.
#[tokio::test]
async fn a_server_without_redis_has_the_others_tell_it() {
    let (redis, mut unreachable) = (TestRedis::start(), TestRedis::start());
    unreachable.stop();
    let one = TestApp::with(with(&unreachable)).await;
    let other = one.another(with(&redis)).await;
    hears(&one).await;
    hears(&other).await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "FAR", 100, 5).await;
    let ama = one.customer("ama@example.com").await;
    for _ in 0..2 {
        assert_eq!(price(&other, &product.id).await, 100);
        assert_eq!(count(&other, &ama).await, 0);
    }
    set_price(&one, &admin, &product, 1, 101).await;
    add(&one, &ama, &product).await.expect(200);
    other.wait_for("the new price", || async { (price(&other, &product.id).await == 101).then_some(()) }).await;
    other.wait_for("the full cart", || async { (count(&other, &ama).await == 1).then_some(()) }).await;
    assert_eq!((price(&other, &product.id).await, count(&other, &ama).await), (json!(101), json!(1)));
}

/// An empty cart is remembered for all servers, and a full one is full on all of them when that is answered.
#[tokio::test]
async fn servers_share_which_carts_are_empty() {
    let redis = TestRedis::start();
    let (one, other) = two_servers(&redis).await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "CART", 100, 500).await;
    let ama = one.customer("ama@example.com").await;
    let marks = || -> Vec<String> {
        let keys: Vec<String> = redis.ask(redis::cmd("KEYS").arg("shop:empty-cart:*"));
        keys.into_iter().filter(|key| !key.ends_with(":token") && !key.ends_with(":era")).collect()
    };
    for _ in 0..10 {
        one.wait_for("the mark of an empty cart", || async {
            assert_eq!((count(&one, &ama).await, count(&other, &ama).await), (json!(0), json!(0)));
            (!marks().is_empty()).then_some(())
        })
        .await;
        let line = add(&one, &ama, &product).await.expect(200)["cart"]["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(marks(), [""; 0]);
        // At once: Redis was told before the answer.
        assert_eq!((count(&other, &ama).await, count(&one, &ama).await), (json!(1), json!(1)));
        other.delete(&format!("/cart/items/{line}")).token(&ama).send().await.expect(200);
    }
    // Nothing in Redis names her.
    let me = one.get("/auth/me").token(&ama).send().await.expect(200)["user"]["id"].as_str().unwrap().to_owned();
    let keys: Vec<String> = redis.ask(redis::cmd("KEYS").arg("*"));
    assert!(!keys.is_empty() && keys.iter().all(|key| !key.contains(&me) && !key.contains(&me.replace('-', ""))));
}

/// Carts are the database's: a guest's and an account's are whole and right with Redis, without it, and when it comes back with
/// what it had, or with nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carts_are_whole_whatever_redis_does() {
    let mut redis = TestRedis::start();
    let (one, other) = two_servers(&redis).await;
    let admin = one.staff(Role::Admin).await;
    let product = one.product(&admin, "WHOLE", 100, 500).await;
    let ama = one.customer("ama@example.com").await;
    let body = json!({"variantId": product.variant, "quantity": 1});
    let guest = async |shop: &TestApp, token: &str| {
        shop.get("/cart").header("x-cart-token", token).send().await.expect(200)["cart"]["itemCount"].clone()
    };
    for what in ["up", "frozen", "stopped", "empty"] {
        // Known to be empty, everywhere.
        for shop in [&one, &other] {
            shop.delete("/cart").token(&ama).send().await.expect(200);
            assert_eq!(count(shop, &ama).await, 0, "{what}");
        }
        match what {
            "frozen" => redis.freeze(),
            "stopped" => redis.stop(),
            "empty" => redis.ask(&redis::cmd("FLUSHALL")),
            _ => {}
        }
        add(&one, &ama, &product).await.expect(200);
        let first = other.post("/cart/items").json(&body).send().await.expect(200);
        let token = first["cartToken"].as_str().unwrap();
        one.post("/cart/items").header("x-cart-token", token).json(&body).send().await.expect(200);
        let seen = async |mine: i64, his: i64| {
            for shop in [&one, &other] {
                // Another server hears of it within milliseconds.
                shop.wait_for(what, || async { (count(shop, &ama).await == mine).then_some(()) }).await;
                shop.wait_for(what, || async { (guest(shop, token).await == his).then_some(()) }).await;
            }
        };
        seen(1, 2).await;
        match what {
            "frozen" => redis.thaw(),
            "stopped" => redis.start_again(),
            _ => {}
        }
        for shop in [&one, &other] {
            is_up(shop, true).await;
        }
        seen(1, 2).await;
        let merge = json!({"cartToken": token});
        let merged = other.post("/cart/merge").token(&ama).json(&merge).send().await.expect(200);
        assert_eq!(merged["cart"]["itemCount"], 3, "{what}");
        seen(3, 0).await;
    }
}
