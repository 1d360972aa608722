//! Buyers who pay in every way, a provider that fails, and a server that is killed again and again: afterwards all money is
//! accounted for, and so is all stock.
//!
//! The seed is printed; `AGAPE_CHAOS_SEED` gives another run the same buyers and the same weather. `AGAPE_CHAOS_CHECKOUTS` makes it
//! longer.

mod books;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agape::features::auth::Role;
use agape::flows::expire::Sweep;
use agape::flows::settle::{self, Outcome};
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use futures::StreamExt;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use self::books::{assert_money, assert_stock, is_paid, look_at_attempts, transactions, wait_for_jobs};
use crate::crash::{Agape, free_port, wait_until_ready};
use crate::sandbox_alone::AloneSandbox;
use crate::support::{PASSWORD, PAYSTACK_KEY, Product, TestApp, address};

const CHECKOUTS: u64 = 500;
/// Buyers at a time.
const TOGETHER: usize = 16;
const KILLS: u64 = 4;
/// Of the program and of the shop that goes on with its database.
const ENCRYPTION_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Some goods run out.
const STOCK: [i64; 4] = [2_000, 2_000, 150, 40];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// What a buyer does once the payment page is open.
#[derive(Clone, Copy, Debug)]
enum Course {
    Pays,
    /// Something else is taken than was asked for.
    PaysWrong,
    DeclinedFirst,
    Phone,
    PhoneTimesOut,
    Leaves,
    /// Gives the order up and pays on the page that is still open.
    PaysLate,
    /// Is declined, opens a second page, and pays on both.
    PaysTwice,
    CancelsAfterwards,
    StaffCancels,
    /// Staff give a part back, twice at once.
    StaffRefunds,
}

fn course(random: &mut StdRng) -> Course {
    match random.random_range(0..100) {
        0..45 => Course::Pays,
        45..53 => Course::PaysWrong,
        53..60 => Course::DeclinedFirst,
        60..64 => Course::Phone,
        64..67 => Course::PhoneTimesOut,
        67..75 => Course::Leaves,
        75..82 => Course::PaysLate,
        82..88 => Course::PaysTwice,
        88..91 => Course::CancelsAfterwards,
        91..94 => Course::StaffCancels,
        _ => Course::StaffRefunds,
    }
}

/// The shop as its buyers see it.
struct Town {
    http: reqwest::Client,
    api: String,
    sandbox: String,
    products: Vec<Product>,
    staff: String,
    /// Buyers who have begun.
    begun: AtomicU64,
}

impl Town {
    /// Repeats a request until somebody answers who is well, and gives the status and the body.
    async fn ask(&self, call: impl Fn() -> reqwest::RequestBuilder) -> (u16, Value) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        loop {
            if let Ok(answer) = call().send().await {
                let status = answer.status().as_u16();
                let body: Value = answer.json().await.unwrap_or_default();
                let is_running = body["message"].as_str().is_some_and(|text| text.contains("still running"));
                if status < 500 && !is_running {
                    return (status, body);
                }
            }
            assert!(tokio::time::Instant::now() < deadline, "nobody answers");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.api);
        self.ask(|| self.http.post(&url).json(body)).await
    }

    /// Opens the payment page; none if the order cannot be paid.
    async fn open(&self, order: &Value, email: &str) -> Option<(String, String)> {
        let body = json!({"orderId": order["id"], "email": email});
        let (status, answer) = self.post("/payments/initialize", &body).await;
        if status == 402 {
            // The provider refused what it had carried out before; another try finds another way.
            return None;
        }
        assert!(matches!(status, 200 | 409), "{status}: {answer}");
        let data = &answer["data"];
        Some((data["authorizationUrl"].as_str()?.to_owned(), data["reference"].as_str()?.to_owned()))
    }

    /// Sends a form of the payment page.
    async fn press(&self, page: &str, form: &str) {
        let call = || {
            let form = form.to_owned();
            self.http.post(page).header("content-type", "application/x-www-form-urlencoded").body(form)
        };
        let (status, _) = self.ask(call).await;
        assert_eq!(status, 303, "{form}");
    }

    /// Comes back to the shop, or asks it, or does neither.
    async fn come_back(&self, reference: &str, random: &mut StdRng) {
        match random.random_range(0..3) {
            0 => {
                let url = format!("{}/payments/callback?reference={reference}", self.api.trim_end_matches("/api/v1"));
                self.ask(|| self.http.get(&url)).await;
            }
            1 => drop(self.post(&format!("/payments/{reference}/verify"), &json!({})).await),
            _ => {}
        }
    }

    async fn cancel(&self, order: &Value, email: &str) {
        let body = json!({"orderNumber": order["orderNumber"], "email": email});
        let (status, answer) = self.post("/orders/track/cancel", &body).await;
        assert!(matches!(status, 200 | 409), "{status}: {answer}");
    }

    /// What staff ask for of an order, which may be in a state that refuses it.
    async fn as_staff(&self, order: &Value, what: &str, key: &str, body: &Value) {
        let url = format!("{}/admin/orders/{}/{what}", self.api, order["id"].as_str().unwrap());
        let call = || self.http.post(&url).bearer_auth(&self.staff).header("idempotency-key", key).json(body);
        let (status, answer) = self.ask(call).await;
        assert!(matches!(status, 200 | 201 | 409), "{what}: {status}: {answer}");
    }

    /// One buyer, from the order to whatever he does in the end.
    async fn checkout(&self, number: u64, mut random: StdRng) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let email = format!("buyer-{number}@example.com");
        let product = self.products.choose(&mut random).unwrap();
        let quantity = random.random_range(1..=3);
        let body = json!({"email": email, "items": [{"variantId": product.variant, "quantity": quantity}],
                          "shippingAddress": address()});
        let url = format!("{}/orders", self.api);
        let key = format!("chaos-{number}");
        let (status, answer) = self.ask(|| self.http.post(&url).header("idempotency-key", &key).json(&body)).await;
        if status == 409 {
            assert_eq!(answer["details"][0]["field"], "items[0].quantity", "{answer}");
            return;
        }
        assert_eq!(status, 201, "{answer}");
        let order = answer["data"]["order"].clone();
        let Some((page, reference)) = self.open(&order, &email).await else { return };
        let webhook =
            ["", "sent", "none", "duplicate", "reordered", "late:300", "late:3000"].choose(&mut random).unwrap();
        let pay = format!("action=pay&webhook={webhook}");
        let course = course(&mut random);
        match course {
            Course::Pays => self.press(&page, &pay).await,
            // The refunds of some cards need an account, which nobody names here.
            Course::CancelsAfterwards | Course::StaffCancels | Course::StaffRefunds => {
                let card = ["success", "success", "success", "refund_needs_attention"].choose(&mut random).unwrap();
                self.press(&page, &format!("{pay}&card={card}")).await;
            }
            Course::PaysWrong => {
                let taken = ["less", "more", "other_currency", "other_mode"].choose(&mut random).unwrap();
                self.press(&page, &format!("{pay}&taken={taken}")).await;
            }
            Course::DeclinedFirst => {
                self.press(&page, "action=decline").await;
                self.come_back(&reference, &mut random).await;
                self.press(&page, &pay).await;
            }
            Course::Phone | Course::PhoneTimesOut => {
                self.press(&page, &format!("{pay}&card=mobile_money")).await;
                self.come_back(&reference, &mut random).await;
                let end = if matches!(course, Course::Phone) { "action=approve" } else { "action=time_out" };
                self.press(&page, end).await;
            }
            Course::Leaves => self.press(&page, "action=abandon").await,
            Course::PaysLate => {
                self.cancel(&order, &email).await;
                self.press(&page, &pay).await;
            }
            Course::PaysTwice => {
                self.press(&page, "action=decline").await;
                // So that the shop knows, and opens another page.
                self.post(&format!("/payments/{reference}/verify"), &json!({})).await;
                if let Some((second, reference)) = self.open(&order, &email).await {
                    self.press(&second, &pay).await;
                    self.come_back(&reference, &mut random).await;
                }
                self.press(&page, &pay).await;
            }
        }
        self.come_back(&reference, &mut random).await;
        match course {
            Course::CancelsAfterwards => self.cancel(&order, &email).await,
            Course::StaffCancels => self.as_staff(&order, "cancel", &key, &json!({"reason": "a fault"})).await,
            Course::StaffRefunds => {
                let body = json!({"amount": random.random_range(1..=500), "reason": "a fault in the cloth"});
                let keys = [format!("{key}-a"), format!("{key}-b")];
                join_all(keys.iter().map(|key| self.as_staff(&order, "refunds", key, &body))).await;
            }
            _ => {}
        }
    }

    /// Makes the provider fail in one way after another, until the future is dropped.
    async fn weather(&self, mut random: StdRng) {
        loop {
            let faults = match random.random_range(0..5) {
                0 => json!({"fail_next": {"status": 503, "count": random.random_range(1..=4)}}),
                1 => json!({"fail_next": {"status": 429, "count": 1, "reset": 1}}),
                2 => json!({"timeout": 1}),
                3 => json!({"slow_ms": 100}),
                _ => json!({}),
            };
            let url = format!("{}/_control/faults", self.sandbox);
            let sent = self.http.post(url).bearer_auth(PAYSTACK_KEY).json(&faults).send().await.unwrap();
            assert_eq!(sent.status(), 200);
            tokio::time::sleep(Duration::from_millis(random.random_range(100..400))).await;
        }
    }
}

/// Hundreds of buyers at once, killed servers, lost answers and webhooks. In the end the money that the provider has for this shop
/// is what orders are paid with, goes back, or waits for the staff's decision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_money_is_accounted_for() {
    let seed = setting("AGAPE_CHAOS_SEED", rand::random_range(0..1_000_000));
    let checkouts = setting("AGAPE_CHAOS_CHECKOUTS", CHECKOUTS);
    println!("AGAPE_CHAOS_SEED={seed}");
    let mut shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut products = Vec::new();
    for (number, stock) in STOCK.into_iter().enumerate() {
        products.push(shop.product(&admin, &format!("CHAOS-{number}"), 1_000, stock).await);
    }
    shop.wait_for_jobs().await;
    shop.stop().await;

    let (port, data) = (free_port(), tempfile::tempdir().unwrap());
    let api = format!("http://127.0.0.1:{port}/api/v1");
    let sandbox = AloneSandbox::start(free_port(), &["--webhook-url", &format!("{api}/webhooks/paystack")]).await;
    let settings = [
        ("AGAPE_PAYMENTS__PROVIDER", "paystack"),
        ("AGAPE_PAYMENTS__PAYSTACK_URL", sandbox.url.as_str()),
        ("AGAPE_PAYMENTS__BREAKER_SECONDS", "1"),
        ("AGAPE_AUTH__ENCRYPTION_KEY", ENCRYPTION_KEY),
        ("AGAPE_LIMITS__PUBLIC_PER_MINUTE", "0"),
        ("AGAPE_LIMITS__AUTH_PER_MINUTE", "0"),
        ("AGAPE_LIMITS__ADMIN_PER_MINUTE", "0"),
    ];
    let mut program = Agape::serve(&shop.database.url, data.path(), port, &settings);
    wait_until_ready(&shop, port).await;
    let login = json!({"email": "admin@agape.example", "password": PASSWORD});
    let mut town = Town {
        http: shop.http.clone(),
        api,
        sandbox: sandbox.url.clone(),
        products,
        staff: String::new(),
        begun: AtomicU64::new(0),
    };
    let (_, signed_in) = town.post("/auth/login", &login).await;
    town.staff = signed_in["data"]["accessToken"].as_str().unwrap().to_owned();

    let random = |number: u64| StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let town = &town;
    let buyers = futures::stream::iter(0..checkouts)
        .for_each_concurrent(TOGETHER, |number| town.checkout(number, random(number)));
    let shop_looks = &shop;
    let killer = async {
        for kill in 1..=KILLS {
            let due = kill * checkouts / (KILLS + 1);
            shop_looks
                .wait_for("some buyers", || async { (town.begun.load(Ordering::SeqCst) >= due).then_some(()) })
                .await;
            program.kill();
            program = Agape::serve(&shop_looks.database.url, data.path(), port, &settings);
            wait_until_ready(shop_looks, port).await;
        }
    };
    let storm = async { tokio::join!(buyers, killer) };
    tokio::select! {
        _ = storm => {}
        () = town.weather(random(checkouts)) => {}
    }
    program.kill();
    town.ask(|| town.http.post(format!("{}/_control/faults", town.sandbox)).bearer_auth(PAYSTACK_KEY).json(&json!({})))
        .await;

    // The calm afterwards. Whoever was killed is known to be dead, and the clock runs: what no webhook has told is asked about, and
    // what goes back is sent.
    shop.app.clock.advance(TimeDelta::minutes(5));
    let provider = sandbox.url.clone();
    let shop = shop
        .restart(|config| {
            config.payments.provider = "paystack".into();
            config.payments.paystack_url = provider;
            config.payments.timeout_seconds = 1;
            config.auth.encryption_key = ENCRYPTION_KEY.into();
            config.jobs.timeout_seconds = 8;
            config.jobs.rescue_seconds = 9;
        })
        .await;
    for hours in [0, 1, 3] {
        shop.app.clock.advance(TimeDelta::hours(hours));
        look_at_attempts(&shop).await;
        Sweep {}.run(&shop.app).await.unwrap();
        wait_for_jobs(&shop).await;
    }
    // The provider's list has nothing that is not known by now.
    for transaction in transactions(&shop.app.paystack).await.iter().filter(|transaction| is_paid(transaction)) {
        let outcome = settle::settle(&shop.app, transaction).await.unwrap();
        assert!(matches!(outcome, Outcome::Settled | Outcome::Ignored(_)), "{outcome:?}: {transaction:?}");
    }
    assert_money(&shop).await;
    assert_stock(&shop).await;
}
