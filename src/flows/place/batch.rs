//! Places several orders together: what they need is read in one statement, and they are written in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::draft::{Cart, Terms, draft, lines_of, sold_out};
use super::on_delivery::{self, Room};
use super::store::{self, NewOrder, Outcome};
use super::{Answer, Ask};
use crate::app::App;
use crate::features::coupons::{self, Found, Wanted};
use crate::features::orders::Order;
use crate::flows::methods;
use crate::flows::rates::Rates;
use crate::platform::db::Connection;
use crate::platform::error::{Error, Result};
use crate::platform::idempotency::{self, Stored};
use crate::platform::ids::ProductId;

/// Somebody's wish to order, with the cart as it was read, if he orders that.
#[derive(Debug)]
pub(super) struct Wish {
    pub ask: Arc<Ask>,
    pub cart: Option<Cart>,
}

/// What comes of a wish.
#[derive(Debug)]
pub(super) enum Step {
    /// It is answered.
    Done(Result<Answer>),
    /// A price, a rate, the coupon or the cart has changed since it was read.
    Stale,
    /// Others of the batch came first; it goes into the next one.
    Again,
}

/// An order between reading and writing, with its place in the batch.
struct Draft<'a> {
    i: usize,
    key: Option<&'a idempotency::Request>,
    new: NewOrder,
}

/// Takes as many of these wishes a step further as fit together, the first one always. Gives the steps, in the order of
/// the wishes, and the products whose stock has changed.
pub(super) async fn place(app: &App, wishes: &[&Wish]) -> (Vec<Step>, Vec<ProductId>) {
    let mut batch = Batch { app, wishes, now: app.clock.now(), steps: wishes.iter().map(|_| None).collect() };
    let products = match batch.run().await {
        Ok(products) => products,
        Err(error) => {
            match *batch.open() {
                [i] => batch.finish(i, Step::Done(Err(error))),
                _ => {
                    let error = Arc::new(error);
                    batch.finish_open(|| Step::Done(Err(Error::shared(&error))));
                }
            }
            Vec::new()
        }
    };
    batch.finish_open(|| Step::Again);
    (batch.steps.into_iter().flatten().collect(), products)
}

struct Batch<'a> {
    app: &'a App,
    wishes: &'a [&'a Wish],
    now: DateTime<Utc>,
    /// None as long as nothing has come of it.
    steps: Vec<Option<Step>>,
}

impl<'a> Batch<'a> {
    async fn run(&mut self) -> Result<Vec<ProductId>> {
        let rates = self.app.rates.current().await?;
        let mut connection = self.app.db.acquire_hot().await?;
        let drafts = self.drafts(&mut connection, &rates).await?;
        if drafts.is_empty() {
            connection.done();
            return Ok(Vec::new());
        }
        match self.write(connection, &drafts).await {
            Err(error) if drafts.len() > 1 && may_be_of_one(&error) => {
                tracing::error!(%error, orders = drafts.len(), "orders cannot be written together; each goes alone");
                let open = self.open();
                for draft in drafts.iter().filter(|draft| open.contains(&draft.i)) {
                    let alone = match self.app.db.acquire_hot().await {
                        Ok(connection) => self.write(connection, std::slice::from_ref(draft)).await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = alone {
                        self.finish(draft.i, Step::Done(Err(error)));
                    }
                }
            }
            written => written?,
        }
        let is_placed = |draft: &&Draft<'_>| matches!(self.steps.get(draft.i), Some(Some(Step::Done(Ok(answer)))) if !answer.replayed);
        let placed = drafts.iter().filter(is_placed);
        Ok(placed.flat_map(|draft| &draft.new.order.items).map(|item| item.product_id).collect())
    }

    fn open(&self) -> Vec<usize> {
        (0..self.steps.len()).filter(|i| matches!(self.steps.get(*i), Some(None))).collect()
    }

    fn finish(&mut self, i: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(i) {
            *place = Some(step);
        }
    }

    fn finish_open(&mut self, step: impl Fn() -> Step) {
        for place in self.steps.iter_mut().filter(|place| place.is_none()) {
            *place = Some(step());
        }
    }

    fn key(&self, i: usize) -> Option<&'a idempotency::Request> {
        self.wishes.get(i)?.ask.key.as_ref()
    }

    /// Answers those of these wishes that were served before.
    async fn replay(&mut self, c: &mut PgConnection, which: Vec<usize>) -> Result<()> {
        let (which, keys): (Vec<_>, Vec<_>) = which.into_iter().filter_map(|i| Some((i, self.key(i)?))).unzip();
        if keys.is_empty() {
            return Ok(());
        }
        let claims = idempotency::find_all(c, &keys, self.now).await?;
        for (i, claim) in which.into_iter().zip(claims) {
            self.take_claim(i, claim);
        }
        Ok(())
    }

    /// Whether the wish is still open.
    fn take_claim(&mut self, i: usize, claim: idempotency::Claim) -> bool {
        let done = match claim {
            Ok(None) => return true,
            Ok(Some(stored)) => Ok(Answer::again(stored)),
            Err(error) => Err(error),
        };
        self.finish(i, Step::Done(done));
        false
    }

    /// The orders of all open wishes. Those who cannot have one are refused; those who come twice have to wait.
    async fn drafts(&mut self, c: &mut PgConnection, rates: &Rates) -> Result<Vec<Draft<'a>>> {
        let open = self.open();
        let items: Vec<_> =
            open.iter().filter_map(|i| self.wishes.get(*i)?.ask.request.items.as_ref()).flatten().collect();
        let offers = if items.is_empty() { Vec::new() } else { store::offers(c, &items).await? };
        let found = self.coupons(c, &open, &offers).await?;
        let (mut keys, mut carts) = (HashSet::new(), HashSet::new());
        let (mut drafts, mut refused) = (Vec::new(), Vec::new());
        for i in open {
            let Some(wish) = self.wishes.get(i) else { continue };
            let key = self.key(i);
            let is_double = key.is_some_and(|key| !keys.insert((&key.caller, key.route, &key.key)))
                || wish.cart.as_ref().is_some_and(|cart| !carts.insert(cart.id));
            if is_double {
                self.finish(i, Step::Again);
                continue;
            }
            let terms = Terms { rates, coupon: found.get(&i), now: self.now };
            match self.draft(wish, &offers, &terms) {
                Ok(new) => drafts.push(Draft { i, key, new }),
                Err(refusal) => refused.push((i, refusal)),
            }
        }
        // What is in the way may be the order that the first request with this key has placed. Those with nothing in their way
        // are told of it when they claim their keys.
        self.replay(c, refused.iter().map(|(i, _)| *i).collect()).await?;
        for (i, refusal) in refused {
            if matches!(self.steps.get(i), Some(None)) {
                self.finish(i, Step::Done(Err(refusal)));
            }
        }
        Ok(drafts)
    }

    /// The coupons of these wishes, by their places, found together. Which of the others' goods a coupon is for does no harm.
    async fn coupons(
        &self,
        c: &mut PgConnection,
        which: &[usize],
        offers: &[store::Line],
    ) -> Result<HashMap<usize, Found>> {
        let (mut places, mut wanted, mut products) = (Vec::new(), Vec::new(), HashSet::new());
        for i in which {
            let Some(wish) = self.wishes.get(*i) else { continue };
            let request = &wish.ask.request;
            let Some(code) = &request.coupon else { continue };
            let lines = wish.cart.as_ref().map_or(offers, |cart| &cart.lines);
            products.extend(lines.iter().map(|line| line.product_id));
            places.push(*i);
            wanted.push(Wanted { code, user: request.user, email: request.email.as_ref() });
        }
        let found = coupons::find_all(c, &wanted, &Vec::from_iter(products)).await?;
        Ok(places.into_iter().zip(found).filter_map(|(i, found)| Some((i, found?))).collect())
    }

    fn draft(&self, wish: &Wish, offers: &[store::Line], terms: &Terms<'_>) -> Result<NewOrder> {
        let request = &wish.ask.request;
        match (&wish.cart, &request.items) {
            (Some(cart), _) => draft(self.app, request, Some(cart), &cart.lines, terms),
            (None, items) => {
                let items = items.as_deref().unwrap_or_default();
                let lines = lines_of(items, offers, self.app.config.cart.max_quantity)?;
                draft(self.app, request, None, &lines, terms)
            }
        }
    }

    /// Writes the orders, and their answers under their keys. An error concerns them all, and nothing is written then, or
    /// nobody knows.
    async fn write(&mut self, mut connection: Connection, drafts: &[Draft<'a>]) -> Result<()> {
        let keyed: Vec<_> = drafts.iter().filter_map(|draft| Some((draft.i, draft.key?))).collect();
        let is_plain =
            |draft: &Draft<'_>| draft.new.redemption.is_none() && !on_delivery::is_on_delivery(&draft.new.order);
        if keyed.is_empty() && drafts.iter().all(is_plain) {
            // One statement is a transaction of its own, without the round trips of begin and commit.
            let steps = self.insert(&mut connection, &drafts.iter().collect::<Vec<_>>()).await?;
            connection.done();
            self.finish_all(steps);
            return Ok(());
        }
        let mut tx = connection.begin().await?;
        let keys: Vec<_> = keyed.iter().map(|(_, key)| *key).collect();
        let claims = idempotency::claim_all(&mut tx, &keys, self.now).await?;
        let (mut answered, mut steps) = (HashSet::new(), Vec::new());
        for ((i, _), claim) in keyed.into_iter().zip(claims) {
            if !self.take_claim(i, claim) {
                answered.insert(i);
            }
        }
        let left: Vec<_> = drafts.iter().filter(|draft| !answered.contains(&draft.i)).collect();
        let left = self.leave_out_owing(&mut tx, left, &mut steps).await?;
        if !left.is_empty() {
            let written = self.redeem_and_insert(&mut tx, &left).await?;
            self.accept_on_delivery(&mut tx, &left, &written).await?;
            steps.extend(written);
        }
        let mut answers = Vec::new();
        for (i, step) in &steps {
            if let (Some(key), Step::Done(Ok(answer))) = (self.key(*i), step) {
                answers.push((key, Stored { status: answer.status, body: answer.body.clone() }));
            }
        }
        if !answers.is_empty() {
            let answers: Vec<_> = answers.iter().map(|(key, stored)| (*key, stored)).collect();
            idempotency::store_all(&mut tx, &answers, self.now).await?;
        }
        if steps.iter().any(|(_, step)| matches!(step, Step::Done(Ok(_)))) {
            tx.commit().await?;
        } else {
            // At once, so that the keys are free for the next try.
            tx.rollback().await?;
        }
        self.finish_all(steps);
        Ok(())
    }

    /// Those who may have their orders, without those who have to pay others on delivery first.
    async fn leave_out_owing<'d>(
        &self,
        tx: &mut PgConnection,
        drafts: Vec<&'d Draft<'a>>,
        steps: &mut Vec<(usize, Step)>,
    ) -> Result<Vec<&'d Draft<'a>>> {
        let (owing, mut left): (Vec<_>, Vec<_>) =
            drafts.into_iter().partition(|draft| on_delivery::is_on_delivery(&draft.new.order));
        if owing.is_empty() {
            return Ok(left);
        }
        let orders: Vec<_> = owing.iter().map(|draft| &draft.new.order).collect();
        let payments = &self.app.config.payments;
        let rooms = on_delivery::rooms(tx, &orders, payments.pay_on_delivery_open_orders).await?;
        for (draft, room) in owing.into_iter().zip(rooms) {
            match room {
                Room::Free => left.push(draft),
                Room::Behind => steps.push((draft.i, Step::Again)),
                Room::Full => steps.push((draft.i, Step::Done(Err(Error::conflict(methods::too_many_owed(payments)))))),
            }
        }
        // First come, first served.
        left.sort_unstable_by_key(|draft| draft.i);
        Ok(left)
    }

    /// Accepts those orders that are paid on delivery: their goods are sold.
    async fn accept_on_delivery(
        &self,
        tx: &mut PgConnection,
        drafts: &[&Draft<'a>],
        steps: &[(usize, Step)],
    ) -> Result<()> {
        for draft in drafts.iter().filter(|draft| on_delivery::is_on_delivery(&draft.new.order)) {
            if steps.iter().any(|(i, step)| *i == draft.i && matches!(step, Step::Done(Ok(_)))) {
                on_delivery::accept(tx, draft.new.order.id, self.app.config.jobs.max_attempts, self.now).await?;
            }
        }
        Ok(())
    }

    fn finish_all(&mut self, steps: Vec<(usize, Step)>) {
        for (i, step) in steps {
            self.finish(i, step);
        }
    }

    /// Writes orders with the uses of their coupons. Who comes too late for a coupon has to look at it again.
    async fn redeem_and_insert(&self, tx: &mut PgConnection, drafts: &[&Draft<'a>]) -> Result<Vec<(usize, Step)>> {
        let orders: Vec<_> = drafts.iter().map(|draft| &draft.new).filter(|new| new.redemption.is_some()).collect();
        if orders.is_empty() {
            return self.insert(tx, drafts).await;
        }
        store::lock_buyers(tx, &orders).await?;
        let redemptions: Vec<_> = orders.iter().filter_map(|new| new.redemption).collect();
        let redeemed = coupons::redeem_all(tx, &redemptions, self.now).await?;
        let late: HashSet<_> =
            redemptions.iter().zip(redeemed).filter(|(_, done)| !done).map(|(new, _)| new.order_id).collect();
        let (late, left): (Vec<_>, Vec<_>) =
            drafts.iter().copied().partition(|draft| late.contains(&draft.new.order.id));
        let mut steps = if left.is_empty() { Vec::new() } else { self.insert(tx, &left).await? };
        let placed = |step: &Step| matches!(step, Step::Done(Ok(_)));
        let unused: Vec<_> = left
            .iter()
            .zip(&steps)
            .filter(|(draft, (_, step))| draft.new.redemption.is_some() && !placed(step))
            .map(|(draft, _)| draft.new.order.id)
            .collect();
        if !unused.is_empty() {
            coupons::take_back(tx, &unused).await?;
        }
        steps.extend(late.into_iter().map(|draft| (draft.i, Step::Stale)));
        Ok(steps)
    }

    async fn insert(&self, c: &mut PgConnection, drafts: &[&Draft<'a>]) -> Result<Vec<(usize, Step)>> {
        let orders: Vec<_> = drafts.iter().map(|draft| &draft.new).collect();
        let outcomes = store::insert(c, &orders, self.now).await?;
        let steps = drafts.iter().zip(outcomes).map(|(draft, outcome)| {
            let step = match outcome {
                Outcome::Placed { number, email } => {
                    let order = Order { number, email, ..draft.new.order.clone() };
                    let view = self.wishes.get(draft.i).map(|wish| (wish.ask.view)(&order));
                    let body = view.transpose().map_err(Error::internal)?.unwrap_or_default();
                    Step::Done(Ok(Answer { status: 201, body, replayed: false }))
                }
                Outcome::Gone => Step::Done(Err(Error::gone())),
                Outcome::Short(short) => Step::Done(Err(sold_out(&draft.new.order, &short))),
                Outcome::Stale => Step::Stale,
                Outcome::Behind => Step::Again,
            };
            Ok((draft.i, step))
        });
        steps.collect()
    }
}

/// Whether one order of a batch may be why all of it failed. Surely not when the database is busy or away; and then it may
/// even be written.
fn may_be_of_one(error: &Error) -> bool {
    match error {
        Error::Unavailable(cause) => cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .and_then(|error| error.code())
            // Deadlock, and conflicts with other transactions.
            .is_some_and(|code| ["40P01", "40001"].contains(&&*code)),
        _ => true,
    }
}
