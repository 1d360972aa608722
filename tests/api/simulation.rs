//! Random sequences of everything that moves stock, beside a simple model of it.
//!
//! First one after the other: every outcome and every level must be the model's. Then many at once, where the outcomes
//! depend on who comes first, but nothing is sold twice, lost or freed twice. The seed is printed; `AGAPE_SIMULATION_SEED`
//! repeats a run as far as one worker goes, and `AGAPE_SIMULATION_STEPS` makes it longer.

use std::sync::Arc;

use agape::app::App;
use agape::features::auth::Role;
use agape::features::inventory::{self, Change, Edit, Movement, Refusal, StaffReason};
use agape::features::orders::{self, Status};
use agape::features::payments::{self, NewPayment, Provider};
use agape::flows::expire::Sweep;
use agape::flows::settle::Outcome;
use agape::flows::start_payment::{self, Payer};
use agape::flows::{cancel, settle};
use agape::platform::error::Error;
use agape::platform::ids::{OrderId, UserId, VariantId};
use agape::platform::jobs::Job;
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::Mutex;

use crate::concurrency::assert_ledger;
use crate::settlements::{order, transaction};
use crate::support::TestApp;

const STEPS: u64 = 10_000;
/// Of five steps, one is made in the first part.
const IN_SEQUENCE: u64 = 5;
const WORKERS: u64 = 8;
const VARIANTS: usize = 6;
const STOCK: i64 = 40;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// A step.
#[derive(Clone, Copy, Debug)]
enum Step {
    Place,
    Pay,
    Cancel,
    Extend,
    Adjust,
    Wait,
}

fn step(random: &mut StdRng) -> Step {
    match random.random_range(0..100) {
        0..45 => Step::Place,
        45..65 => Step::Pay,
        65..80 => Step::Cancel,
        80..84 => Step::Extend,
        84..95 => Step::Adjust,
        _ => Step::Wait,
    }
}

/// One to three variants, the first ones most often.
fn lines(random: &mut StdRng, variants: &[VariantId]) -> Vec<(VariantId, i32)> {
    let mut lines: Vec<(VariantId, i32)> = Vec::new();
    for _ in 0..random.random_range(1..=3) {
        let below = random.random_range(1..=variants.len());
        let variant = variants[random.random_range(0..below)];
        if lines.iter().all(|(known, _)| *known != variant) {
            lines.push((variant, random.random_range(1..=4)));
        }
    }
    lines
}

/// A shop that does nothing by itself, with its variants and a customer.
async fn shop() -> (TestApp, Vec<VariantId>, UserId) {
    let quiet = |config: &mut agape::platform::config::Config| {
        config.jobs.sweep_seconds = 86_400;
        // What is paid stays sold here.
        config.orders.cancel_paid = false;
    };
    let shop = TestApp::with(quiet).await;
    let admin = shop.staff(Role::Admin).await;
    let mut variants = Vec::new();
    for i in 0..VARIANTS {
        variants.push(shop.product(&admin, &format!("SIM-{i}"), 100, STOCK).await.variant.parse().unwrap());
    }
    shop.customer("ama@example.com").await;
    let user = shop.database.text("select id::text from users where email = 'ama@example.com'").await;
    shop.wait_for_jobs().await;
    // Nobody writes the mails of thousands of orders.
    let pause =
        "insert into river_queue (name, created_at, updated_at, paused_at) values ('default', now(), now(), now())
                 on conflict (name) do update set paused_at = now()";
    sqlx::query(pause).execute(&shop.database.pool).await.unwrap();
    (shop.restart(quiet).await, variants, user.unwrap().parse().unwrap())
}

/// An order that was placed, and the attempt to pay it.
#[derive(Clone, Debug)]
struct Placed {
    id: OrderId,
    reference: String,
    amount: i64,
}

async fn place(app: &App, user: UserId, lines: &[(VariantId, i32)]) -> Result<Placed, Error> {
    let id = order(app, user, lines).await?;
    let mut c = app.db.acquire().await?;
    let placed = orders::find(&mut c, id).await?.unwrap();
    let attempt = NewPayment {
        order_id: id,
        order_number: &placed.number,
        user_id: Some(user),
        provider: Provider::Paystack,
        reference: &placed.number,
        received_reference: None,
        amount_minor: placed.total_minor,
        currency: &placed.currency,
    };
    payments::create(&mut c, &attempt, app.clock.now()).await?;
    Ok(Placed { id, reference: placed.number, amount: placed.total_minor })
}

async fn pay(app: &App, order: &Placed) -> Outcome {
    settle::settle(app, &transaction(&order.reference, order.amount, "success")).await.unwrap()
}

/// Staff count so many more or fewer of a variant. False when that would be less than is promised.
async fn adjust(app: &App, variant: VariantId, by: i32) -> bool {
    let movement = Movement { change: Change::By(by), reason: StaffReason::Count, note: None };
    let edit = Edit { variant_id: variant, version: None, movement: Some(movement), threshold: None };
    let mut c = app.db.acquire().await.unwrap();
    let edited = inventory::edit_levels(&mut c, &[edit], None, app.clock.now()).await.unwrap();
    match edited[0].refusal {
        None => true,
        Some(Refusal::BelowZero | Refusal::BelowReserved) => false,
        Some(refusal) => panic!("{refusal:?}"),
    }
}

/// Only what a shopper may be told is an error here.
fn is_refused<T>(result: Result<T, Error>, what: &str) -> bool {
    match result {
        Ok(_) => false,
        Err(Error::Conflict { .. }) => true,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// Where an order stands in the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting {
        held: bool,
        until: DateTime<Utc>,
        expires: DateTime<Utc>,
    },
    Paid,
    /// By its buyer, on purpose, or by the clock.
    Cancelled {
        on_purpose: bool,
    },
}

#[derive(Debug)]
struct Known {
    placed: Placed,
    lines: Vec<(usize, i64)>,
    state: State,
    /// Money has come, whether it could be taken or not.
    has_money: bool,
}

/// The shop as it should be.
#[derive(Debug)]
struct Model {
    /// On hand and reserved.
    levels: Vec<(i64, i64)>,
    orders: Vec<Known>,
}

impl Model {
    fn has(&self, lines: &[(usize, i64)]) -> bool {
        lines.iter().all(|(variant, quantity)| self.levels[*variant].0 - self.levels[*variant].1 >= *quantity)
    }

    /// Changes the levels by these multiples of the lines.
    fn shift(&mut self, lines: &[(usize, i64)], on_hand: i64, reserved: i64) {
        for (variant, quantity) in lines {
            self.levels[*variant].0 += on_hand * quantity;
            self.levels[*variant].1 += reserved * quantity;
        }
    }

    fn pay(&mut self, i: usize) -> Outcome {
        let lines = self.orders[i].lines.clone();
        let has = self.has(&lines);
        let known = &mut self.orders[i];
        if std::mem::replace(&mut known.has_money, true) {
            return Outcome::Settled;
        }
        match &mut known.state {
            State::Waiting { held: true, .. } => {
                known.state = State::Paid;
                self.shift(&lines, -1, -1);
            }
            State::Cancelled { on_purpose: true } => {
                return Outcome::Flagged("the order was given up before the money came");
            }
            State::Waiting { .. } | State::Cancelled { .. } if has => {
                known.state = State::Paid;
                self.shift(&lines, -1, 0);
            }
            state => {
                // Its money goes back.
                *state = State::Cancelled { on_purpose: false };
                return Outcome::Flagged("paid after the goods were sold to somebody else");
            }
        }
        Outcome::Paid
    }

    /// Frees what a waiting order holds, and gives it up.
    fn cancel(&mut self, i: usize, on_purpose: bool) -> bool {
        let State::Waiting { held, .. } = self.orders[i].state else { return false };
        self.orders[i].state = State::Cancelled { on_purpose };
        if held {
            self.shift(&self.orders[i].lines.clone(), 0, -1);
        }
        true
    }

    fn extend(&mut self, i: usize, now: DateTime<Utc>) -> bool {
        let lines = self.orders[i].lines.clone();
        let has = self.has(&lines);
        let State::Waiting { held, until, expires } = &mut self.orders[i].state else { return false };
        if *expires <= now || !*held && !has {
            return false;
        }
        *until = (*expires).min(now + TimeDelta::minutes(15));
        if !std::mem::replace(held, true) {
            self.shift(&lines, 0, 1);
        }
        true
    }

    fn sweep(&mut self, now: DateTime<Utc>) {
        for i in 0..self.orders.len() {
            if let State::Waiting { expires, .. } = self.orders[i].state
                && expires <= now
            {
                self.cancel(i, false);
            }
            let known = &mut self.orders[i];
            if let State::Waiting { held, until, .. } = &mut known.state
                && *held
                && *until <= now
            {
                *held = false;
                let lines = known.lines.clone();
                self.shift(&lines, 0, -1);
            }
        }
    }
}

/// One worker: what happens is exactly what the model says.
async fn in_sequence(shop: &TestApp, variants: &[VariantId], user: UserId, seed: u64, steps: u64) -> Vec<Placed> {
    let app = &shop.app;
    let random = &mut StdRng::seed_from_u64(seed);
    let mut model = Model { levels: vec![(STOCK, 0); variants.len()], orders: Vec::new() };
    for number in 0..steps {
        let step = step(random);
        let what = format!("seed {seed}, step {number}, {step:?}");
        // Mostly a young one.
        let newest = model.orders.len();
        let chosen = newest.checked_sub(1 + random.random_range(0..30)).or_else(|| newest.checked_sub(1));
        match (step, chosen) {
            (Step::Place, _) | (Step::Pay | Step::Cancel | Step::Extend, None) => {
                let wanted = lines(random, variants);
                let lines: Vec<_> = wanted
                    .iter()
                    .map(|(id, quantity)| {
                        (variants.iter().position(|known| known == id).unwrap(), i64::from(*quantity))
                    })
                    .collect();
                let now = app.clock.now();
                match place(app, user, &wanted).await {
                    Ok(placed) => {
                        assert!(model.has(&lines), "{what}: placed, but {lines:?} is not there: {:?}", model.levels);
                        model.shift(&lines, 0, 1);
                        let state = State::Waiting {
                            held: true,
                            until: now + TimeDelta::minutes(15),
                            expires: now + TimeDelta::minutes(30),
                        };
                        model.orders.push(Known { placed, lines, state, has_money: false });
                    }
                    refused => {
                        assert!(is_refused(refused, &what));
                        assert!(!model.has(&lines), "{what}: refused, but {lines:?} is there: {:?}", model.levels);
                    }
                }
            }
            (Step::Pay, Some(i)) => {
                let outcome = pay(app, &model.orders[i].placed).await;
                let before = model.orders[i].state;
                assert_eq!(outcome, model.pay(i), "{what}: {before:?}");
            }
            (Step::Cancel, Some(i)) => {
                let refused = is_refused(cancel::by_customer(app, model.orders[i].placed.id, user, None).await, &what);
                let before = model.orders[i].state;
                assert_eq!(!refused, model.cancel(i, true), "{what}: {before:?}");
            }
            (Step::Extend, Some(i)) => {
                let now = app.clock.now();
                let refused = is_refused(
                    start_payment::start(
                        app,
                        model.orders[i].placed.id,
                        Payer { user: Some(user), ..Payer::default() },
                    )
                    .await,
                    &what,
                );
                let before = model.orders[i].state;
                assert_eq!(!refused, model.extend(i, now), "{what}: {before:?}");
            }
            (Step::Adjust, _) => {
                let (variant, by) = (random.random_range(0..variants.len()), random.random_range(-6..=12));
                if by != 0 {
                    let counted = adjust(app, variants[variant], by).await;
                    let (on_hand, reserved) = &mut model.levels[variant];
                    assert_eq!(counted, *on_hand + i64::from(by) >= *reserved, "{what} by {by}");
                    if counted {
                        *on_hand += i64::from(by);
                    }
                }
            }
            (Step::Wait, _) => {
                app.clock.advance(TimeDelta::minutes(random.random_range(3..9)) + TimeDelta::seconds(30));
                model.sweep(app.clock.now());
                Sweep {}.run(app).await.unwrap();
            }
        }
        assert_eq!(levels(shop, variants).await, model.levels, "{what}");
    }
    for known in &model.orders {
        let status = orders::find(&mut app.db.acquire().await.unwrap(), known.placed.id).await.unwrap().unwrap().status;
        let expected = match known.state {
            State::Waiting { .. } => Status::PendingPayment,
            State::Paid => Status::Paid,
            State::Cancelled { .. } => Status::Cancelled,
        };
        assert_eq!(status, expected, "seed {seed}: {known:?}");
    }
    model.orders.into_iter().map(|known| known.placed).collect()
}

async fn levels(shop: &TestApp, variants: &[VariantId]) -> Vec<(i64, i64)> {
    let ids: Vec<_> = variants.iter().map(|id| id.0).collect();
    sqlx::query_as(
        "select on_hand::bigint, reserved::bigint from unnest($1::uuid[]) with ordinality as v (variant_id, n)
         join stock_levels using (variant_id) order by n",
    )
    .bind(ids)
    .fetch_all(&shop.database.pool)
    .await
    .unwrap()
}

/// Many workers: no outcome is foretold, but each is one that the shopper may be told.
async fn at_once(
    app: App,
    variants: Vec<VariantId>,
    user: UserId,
    seed: u64,
    steps: u64,
    known: Arc<Mutex<Vec<Placed>>>,
) {
    let random = &mut StdRng::seed_from_u64(seed);
    for number in 0..steps {
        let step = step(random);
        let what = format!("seed {seed}, step {number}, {step:?}");
        let chosen = {
            let known = known.lock().await;
            let young = known.len().saturating_sub(40);
            known[young..].choose(random).cloned()
        };
        match (step, chosen) {
            (Step::Place, _) | (Step::Pay | Step::Cancel | Step::Extend, None) => {
                match place(&app, user, &lines(random, &variants)).await {
                    Ok(placed) => known.lock().await.push(placed),
                    refused => assert!(is_refused(refused, &what)),
                }
            }
            (Step::Pay, Some(order)) => {
                pay(&app, &order).await;
            }
            (Step::Cancel, Some(order)) => {
                is_refused(cancel::by_customer(&app, order.id, user, None).await, &what);
            }
            (Step::Extend, Some(order)) => {
                is_refused(
                    start_payment::start(&app, order.id, Payer { user: Some(user), ..Payer::default() }).await,
                    &what,
                );
            }
            (Step::Adjust, _) => {
                let (variant, by) = (variants.choose(random).unwrap(), random.random_range(-6..=12));
                if by != 0 {
                    adjust(&app, *variant, by).await;
                }
            }
            (Step::Wait, _) => {
                app.clock.advance(TimeDelta::seconds(random.random_range(20..90)));
                Sweep {}.run(&app).await.unwrap();
            }
        }
    }
}

/// What must hold whatever came first. The units of every variant: what it began with and what was counted in is what is
/// there and what was sold; every order sold, freed or holds each of its lines, once.
async fn assert_sound(shop: &TestApp, what: &str) {
    assert_ledger(shop).await;
    let lost: Vec<(String, i64, i64)> = sqlx::query_as(
        "select s.variant_id::text, s.on_hand::bigint,
                (select coalesce(sum(on_hand_delta) filter (where reason in ('initial', 'count')), 0)
                 from stock_movements m where m.variant_id = s.variant_id)
              - (select coalesce(sum(i.quantity), 0) from order_items i join orders o on o.id = i.order_id
                 where i.variant_id = s.variant_id and o.paid_at is not null) as expected
         from stock_levels s",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    for (variant, on_hand, expected) in &lost {
        assert_eq!(on_hand, expected, "{what}: units of {variant}");
    }
    let odd: Vec<(String, String, i64, i64, i64)> = sqlx::query_as(
        "select * from (
           select o.number, o.status || ' ' || r.status as states, r.quantity::bigint,
                  coalesce(sum(m.reserved_delta), 0) as held, count(*) filter (where m.reason = 'commit') as sold
           from orders o join reservations r on r.order_id = o.id
           left join stock_movements m on m.order_id = o.id and m.variant_id = r.variant_id
           group by o.id, r.order_id, r.variant_id) each
         where not case states
           when 'paid committed' then held = 0 and sold = 1
           when 'cancelled released' then held = 0 and sold = 0
           when 'pending_payment released' then held = 0 and sold = 0
           when 'pending_payment held' then held = quantity and sold = 0
           else false end",
    )
    .fetch_all(&shop.database.pool)
    .await
    .unwrap();
    assert!(odd.is_empty(), "{what}: {odd:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_what_a_simple_model_says() {
    let seed = setting("AGAPE_SIMULATION_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let steps = setting("AGAPE_SIMULATION_STEPS").unwrap_or(STEPS);
    let what = format!("seed {seed}");
    println!("AGAPE_SIMULATION_SEED={seed} AGAPE_SIMULATION_STEPS={steps}");
    let (shop, variants, user) = shop().await;
    let known = in_sequence(&shop, &variants, user, seed, steps / IN_SEQUENCE).await;
    assert_sound(&shop, &what).await;

    let known = Arc::new(Mutex::new(known));
    let each = (steps - steps / IN_SEQUENCE) / WORKERS;
    let workers: Vec<_> = (1..=WORKERS)
        .map(|worker| {
            let seed = seed.wrapping_mul(WORKERS + 1).wrapping_add(worker);
            tokio::spawn(at_once(shop.app.clone(), variants.clone(), user, seed, each, Arc::clone(&known)))
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_sound(&shop, &what).await;

    // When nobody does anything any more, nothing stays set aside.
    shop.app.clock.advance(TimeDelta::hours(2));
    Sweep {}.run(&shop.app).await.unwrap();
    assert_sound(&shop, &what).await;
    assert!(levels(&shop, &variants).await.iter().all(|(_, reserved)| *reserved == 0), "{what}");
    let ends = "select count(distinct status) from orders where status in ('paid', 'cancelled')";
    assert_eq!(shop.database.count(ends).await, 2, "{what}: some orders were paid and some given up");
}
