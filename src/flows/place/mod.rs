//! Places orders: reads the prices, adds up, and then, in one statement, sets the stock aside and writes the order with all
//! that belongs to it.
//!
//! Orders of the same goods would wait for each other's commits in the database. So whoever wants what this process writes
//! at that moment waits here, in [`lanes`], and is written together with all who wait ([`batch`]): one commit for all, and one
//! answer for each after it. Who wants what nobody writes goes straight, by the same way.

mod batch;
mod draft;
mod lanes;
mod on_delivery;
mod preview;
mod prices;
mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use self::batch::{Step, Wish};
use self::draft::Cart;
use self::lanes::{Entry, Lanes, Lead};
pub use self::preview::{Quote, QuotedLine, quote};
pub use self::prices::{check_items, prices};
use crate::app::App;
use crate::features::carts::{self, Owner};
use crate::features::coupons::Code;
use crate::features::orders::{Order, PaymentMethod};
use crate::flows::quote::Destination;
use crate::platform::address::Address;
use crate::platform::error::{Error, Result};
use crate::platform::idempotency;
use crate::platform::ids::{ProductId, UserId, VariantId};
use crate::platform::text::Email;

/// What the shopper wants.
#[derive(Debug)]
pub struct Request {
    /// His account, if he is signed in.
    pub user: Option<UserId>,
    /// Whose cart is ordered when there are no items.
    pub owner: Owner,
    /// What to order instead of the cart.
    pub items: Option<Vec<Item>>,
    /// Where mails go; the account's address when there is none.
    pub email: Option<Email>,
    /// Where the goods go; a quote may know less of it.
    pub address: Option<Address>,
    /// The same, as far as the price depends on it.
    pub destination: Destination,
    /// The code of how they travel; without one, the first way that the shop offers there.
    pub shipping_method: Option<String>,
    /// The coupon.
    pub coupon: Option<Code>,
    /// How they are paid.
    pub payment_method: PaymentMethod,
    /// The shopper's words.
    pub notes: Option<String>,
}

/// A line to order: a variant, or a product that has only one.
#[derive(Debug)]
pub struct Item {
    /// The variant.
    pub variant: Option<VariantId>,
    /// Its product.
    pub product: Option<ProductId>,
    /// Units.
    pub quantity: i32,
}

/// The answer, first or repeated.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: i16,
    /// The JSON body.
    pub body: String,
    /// Whether it was given before, to a request with the same key.
    pub replayed: bool,
}

impl Answer {
    fn again(stored: idempotency::Stored) -> Self {
        Self { status: stored.status, body: stored.body, replayed: true }
    }
}

/// Makes the body of the answer.
type View = Box<dyn Fn(&Order) -> serde_json::Result<String> + Send + Sync>;

/// A request with what belongs to it.
struct Ask {
    request: Request,
    key: Option<idempotency::Request>,
    view: View,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Somebody who waits for the answer to his wish.
#[derive(Debug)]
struct Waiting {
    wish: Wish,
    since: Instant,
    answer: oneshot::Sender<Step>,
}

/// The orders that are being placed in this process.
#[derive(Debug, Default)]
pub struct Placing(Lanes<Waiting>);

impl Placing {
    /// How many orders wait for others of the same goods.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// How often prices may change between reading and writing before the shopper is asked to try again.
const TRIES: usize = 3;
/// Lines of a batch, as a statement has only so much time.
const MOST_LINES: usize = 1_000;
/// How long somebody waits for his turn. Who waits longer is told to try again; nothing of his is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Places the order. `view` makes the answer, which is stored with the order under the idempotency key.
///
/// Once begun, it is finished, even if the caller goes away.
///
/// # Errors
/// `Validation` for an empty cart and for what is not for sale; `Conflict` when something is sold out, with each line;
/// what [`idempotency::claim`] refuses; `Unavailable` when too many want the same, or somebody holds it for too long.
pub async fn place(
    app: &App,
    request: Request,
    key: Option<idempotency::Request>,
    view: impl Fn(&Order) -> serde_json::Result<String> + Send + Sync + 'static,
) -> Result<Answer> {
    let ask = Arc::new(Ask { request, key, view: Box::new(view) });
    for _ in 0..TRIES {
        let cart = match ask.request.items {
            Some(_) => None,
            None => match read_cart(app, &ask).await? {
                Ok(cart) => Some(cart),
                Err(answer) => return Ok(answer),
            },
        };
        match join(app, Wish { ask: Arc::clone(&ask), cart }).await? {
            Step::Done(answer) => return answer,
            // Read again, the rates too: it may be they that have changed.
            Step::Stale => app.rates.start_anew(),
            Step::Again => {}
        }
    }
    Err(Error::conflict("Prices or your cart are changing at this moment. Look at your cart and try again."))
}

/// The answer that was given to a request with this key before. It claims nothing.
///
/// # Errors
/// Those of [`idempotency::find_all`], of a single request.
pub async fn answered(app: &App, key: Option<&idempotency::Request>) -> Result<Option<Answer>> {
    let Some(key) = key else { return Ok(None) };
    let mut connection = app.db.acquire().await?;
    let stored = idempotency::find_all(&mut connection, &[key], app.clock.now()).await?.pop();
    connection.done();
    Ok(stored.unwrap_or(Ok(None))?.map(Answer::again))
}

/// The shopper's cart, or the answer that he has got for it before.
async fn read_cart(app: &App, ask: &Ask) -> Result<Result<Cart, Answer>> {
    let now = app.clock.now();
    let mut connection = app.db.acquire_hot().await?;
    let cart = Cart::of(carts::open_cart_lines(&mut connection, &ask.request.owner, now).await?);
    let (refusal, key) = match (cart, &ask.key) {
        (Err(refusal), Some(key)) => (refusal, key),
        (cart, _) => {
            connection.done();
            return cart.map(Ok);
        }
    };
    // A repeated request must not fail because its cart is ordered by now.
    let stored = idempotency::find_all(&mut connection, &[key], now).await?.pop();
    connection.done();
    stored.unwrap_or(Ok(None))?.map(|stored| Err(Answer::again(stored))).ok_or(refusal)
}

/// Waits for others who write the same goods, or writes at once.
async fn join(app: &App, wish: Wish) -> Result<Step> {
    let (answer, answered) = oneshot::channel();
    let goods = if app.config.orders.batch > 1 { goods(&wish) } else { Vec::new() };
    match app.placing.0.enter(goods, Waiting { wish, since: Instant::now(), answer }) {
        // In a task of its own: the shopper may go away, and others may come who wait for him.
        Entry::Lead(lead, first) => drop(tokio::spawn(write_all(app.clone(), lead, first))),
        Entry::Wait => {}
        Entry::Full(_) => return Err(busy("too many orders wait for the same goods")),
    }
    answered.await.map_err(|_| busy("the task that writes orders has ended"))
}

/// What the wish is for: its variants, or products where it names no variant; each once.
fn goods(wish: &Wish) -> Vec<Uuid> {
    let goods: BTreeSet<_> = match (&wish.cart, &wish.ask.request.items) {
        (Some(cart), _) => cart.lines.iter().map(|line| line.variant_id.0).collect(),
        (None, items) => items
            .iter()
            .flatten()
            .filter_map(|item| item.variant.map(|id| id.0).or(item.product.map(|id| id.0)))
            .collect(),
    };
    Vec::from_iter(goods)
}

/// Writes the first, and then all who have come meanwhile, together, until nobody waits.
async fn write_all(app: App, mut lead: Lead<Waiting>, first: Waiting) {
    let mut waiting = vec![first];
    while !waiting.is_empty() {
        let wishes: Vec<_> = waiting.iter().map(|waiting| &waiting.wish).collect();
        let (steps, products) = batch::place(&app, &wishes).await;
        let (mut answers, mut again) = (Vec::new(), Vec::new());
        for (waiting, step) in waiting.into_iter().zip(steps) {
            match step {
                Step::Again => again.push(waiting),
                step => answers.push((waiting.answer, step)),
            }
        }
        lead.put_back(again);
        // The next ones need not wait until everybody knows of this.
        tokio::spawn(answer(app.clone(), answers, products));
        waiting = next(&app, &mut lead);
    }
}

/// Answers, once nobody shows stock any more that is taken.
async fn answer(app: App, answers: Vec<(oneshot::Sender<Step>, Step)>, mut products: Vec<ProductId>) {
    let placed = answers.iter().filter(|(_, step)| matches!(step, Step::Done(Ok(answer)) if !answer.replayed)).count();
    if placed > 0 {
        app.waker.wake();
        metrics::counter!("agape_orders_placed_total").increment(placed as u64);
        metrics::histogram!("agape_orders_batch_size").record(placed as f64);
        products.sort_unstable();
        products.dedup();
        app.product_cache.forget(&products).await;
    }
    for (answer, step) in answers {
        // Who has gone away does not hear it.
        let _ = answer.send(step);
    }
}

/// Those whose turn it is.
fn next(app: &App, lead: &mut Lead<Waiting>) -> Vec<Waiting> {
    loop {
        let taken = lead.next(app.config.orders.batch, MOST_LINES, |waiting| goods(&waiting.wish).len());
        if taken.is_empty() {
            return taken;
        }
        let mut ready = Vec::with_capacity(taken.len());
        for waiting in taken {
            let waited = waiting.since.elapsed();
            // Nothing was begun for those who have gone away.
            if waiting.answer.is_closed() {
                continue;
            }
            metrics::histogram!("agape_orders_wait_seconds").record(waited);
            if waited > PATIENCE {
                let _ = waiting.answer.send(Step::Done(Err(busy("an order has waited too long for its turn"))));
            } else {
                ready.push(waiting);
            }
        }
        if !ready.is_empty() {
            return ready;
        }
    }
}

fn busy(why: &'static str) -> Error {
    Error::Unavailable(anyhow::anyhow!(why))
}
