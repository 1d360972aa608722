//! What one does with a cart.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::cache::Known;
use super::model::{self, CartLine, LeftOut, LeftOutReason, Wanted};
use super::owner::{Owner, TokenHash};
use super::store::{self, Change, Locked};
use crate::app::App;
use crate::platform::crypto::{random_token, sha256};
use crate::platform::error::{Error, Result};
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{CartItemId, UserId, VariantId};

/// The lines of an owner's cart. Looking at a guest's cart keeps it: its end is moved, though not at every look.
pub(super) async fn get_cart(app: &App, owner: &Owner) -> Result<Vec<CartLine>> {
    let token = match app.empty_carts.find(owner).await {
        Known::Empty => return Ok(Vec::new()),
        Known::Nothing(token) => token,
    };
    let now = app.clock.now();
    let mut connection = app.db.acquire().await?;
    let lines = store::open_cart_lines(&mut connection, owner, now).await?;
    if let Some(line) = lines.first() {
        let life = TimeDelta::hours(app.config.cart.guest_hours);
        if line.expires_at.is_some_and(|end| end - now < life - life / 24) {
            store::touch(&mut connection, line.cart_id, now + life).await?;
        }
    }
    connection.done();
    if let Some(token) = token.filter(|_| lines.is_empty()) {
        app.empty_carts.put(owner, &token).await;
    }
    Ok(lines)
}

fn expiry(app: &App, owner: &Owner, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match owner {
        Owner::User(_) => None,
        Owner::Guest(_) | Owner::Stranger => Some(now + TimeDelta::hours(app.config.cart.guest_hours)),
    }
}

/// A cart under its lock.
struct Open {
    locked: Locked,
    lines: Vec<CartLine>,
    change: Change,
}

impl Open {
    /// Loads a locked cart, with what of `wanted` it could have. Refuses a change that is based on another state than this
    /// one, if the client says on which: an empty cart has version 0.
    async fn load(
        app: &App,
        c: &mut PgConnection,
        owner: &Owner,
        locked: Locked,
        wanted: Option<&Wanted>,
        version: Option<i32>,
    ) -> Result<Self> {
        let lines = store::load(c, locked.id, wanted).await?;
        let was_empty = lines.iter().all(|line| line.quantity == 0);
        let current = if was_empty { 0 } else { locked.version };
        if version.is_some_and(|version| version != current) {
            return Err(Error::conflict("Your cart has changed meanwhile. Load it again and repeat your change."));
        }
        let now = app.clock.now();
        let change = Change { cart: locked.id, expires_at: expiry(app, owner, now), was_empty, now };
        Ok(Self { locked, lines, change })
    }

    /// The place of a line that the cart has.
    fn position(&self, item: CartItemId) -> Result<usize> {
        self.lines.iter().position(|line| line.id == item).ok_or(Error::NotFound("The cart line"))
    }

    /// The cart after its change was stored.
    fn changed(self) -> Vec<CartLine> {
        let version = self.locked.version.saturating_add(1);
        let lines = self.lines.into_iter().filter(|line| line.quantity > 0);
        lines.map(|line| CartLine { version, ..line }).collect()
    }
}

/// Adds to a locked cart. Units are checked on the sum of the line.
async fn add(
    app: &App,
    c: &mut PgConnection,
    owner: &Owner,
    cart: Locked,
    wanted: &Wanted,
    version: Option<i32>,
) -> Result<Vec<CartLine>> {
    let mut cart = Open::load(app, c, owner, cart, Some(wanted), version).await?;
    let place = wanted.find(&cart.lines)?;
    let count = cart.lines.iter().filter(|line| line.quantity > 0).count();
    let Some(line) = cart.lines.get_mut(place) else { return Err(Error::NotFound("The product")) };
    let max_lines = app.config.orders.max_lines;
    if line.quantity == 0 && count >= max_lines {
        return Err(Error::conflict(format!("A cart has at most {max_lines} lines. Order these first.")));
    }
    let sum = line.quantity.saturating_add(wanted.quantity);
    model::check_quantity(sum, line.quantity, line.available, app.config.cart.max_quantity)?;
    line.quantity = sum;
    store::set_lines(c, cart.change, &[&*line]).await?;
    Ok(cart.changed())
}

/// The account's open cart, locked, new if there is none.
async fn lock_or_create(app: &App, c: &mut PgConnection, owner: &Owner, now: DateTime<Utc>) -> Result<Locked> {
    if let Some(cart) = store::lock(c, owner, now).await? {
        return Ok(cart);
    }
    store::create(c, owner, expiry(app, owner, now), now).await?;
    // Another change may have made it and gone on meanwhile, and an order may have taken that.
    store::lock(c, owner, now).await?.ok_or_else(taken)
}

fn taken() -> Error {
    Error::conflict("Your cart was ordered at this moment. Look at it and try again.")
}

/// Puts something into an account's cart, in the caller's transaction. Call [`forget_empty`] after the commit.
///
/// # Errors
/// `NotFound` when it is not for sale; `Conflict` when it is more than there is, or than one may buy.
pub async fn put_in(app: &App, c: &mut PgConnection, user: UserId, wanted: &Wanted) -> Result<()> {
    let owner = Owner::User(user);
    let cart = lock_or_create(app, c, &owner, app.clock.now()).await?;
    add(app, c, &owner, cart, wanted, None).await.map(drop)
}

/// Puts as much as possible of these variants, each named once, into an account's cart, in the caller's transaction. Gives
/// how many units of each the cart did not take, and why, for each of which that was any. Call [`forget_empty`] after the
/// commit.
///
/// # Errors
/// The database's.
pub async fn put_in_most(
    app: &App,
    c: &mut PgConnection,
    user: UserId,
    wanted: &[(VariantId, i32)],
) -> Result<Vec<LeftOut>> {
    let owner = Owner::User(user);
    let cart = lock_or_create(app, c, &owner, app.clock.now()).await?;
    let mut cart = Open::load(app, c, &owner, cart, None, None).await?;
    let ids: Vec<_> = wanted.iter().map(|(id, _)| *id).collect();
    let (theirs, mut left_out) = model::buyable(store::offers(c, cart.locked.id, &ids).await?, wanted);
    let (max_quantity, max_lines) = (app.config.cart.max_quantity, app.config.orders.max_lines);
    let (changed, capped) = model::merge(&mut cart.lines, theirs, max_quantity, max_lines);
    left_out.extend(capped.into_iter().map(|capped| LeftOut {
        variant_id: capped.variant_id,
        quantity: capped.wanted - capped.quantity,
        reason: if capped.quantity == 0 { LeftOutReason::CartFull } else { LeftOutReason::Limited },
    }));
    let lines: Vec<_> = cart.lines.iter().filter(|line| changed.contains(&line.variant_id)).collect();
    if !lines.is_empty() {
        store::set_lines(c, cart.change, &lines).await?;
    }
    Ok(left_out)
}

/// The account's cart may be empty no more.
pub async fn forget_empty(app: &App, user: UserId) {
    app.empty_carts.forget(&Owner::User(user)).await;
}

/// An `Idempotency-Key` with what it was sent for.
#[derive(Debug)]
pub(super) struct Key {
    pub key: String,
    pub fingerprint: [u8; 32],
}

impl Key {
    /// The key is one of its owner's. A guest is known by the hash of his token; a stranger, whom nobody knows, has no keys.
    fn of(&self, owner: &Owner) -> Option<idempotency::Request> {
        let caller = match owner {
            Owner::User(id) => id.to_string(),
            Owner::Guest(hash) => format!("cart {}", hex::encode(hash)),
            Owner::Stranger => return None,
        };
        let (key, fingerprint) = (self.key.clone(), self.fingerprint);
        Some(idempotency::Request { caller, route: "POST /cart/items", key, fingerprint })
    }
}

/// What came of putting something into a cart.
pub(super) struct Added {
    pub answer: Keyed,
    /// Of a new guest's cart.
    pub token: Option<String>,
}

/// Puts something into a cart. `view` makes the answer, with the token of a new guest's cart.
///
/// Nobody chooses the token of a cart himself: one that names no open cart is worth nothing, and a new one takes its place.
/// The first answer to a stranger is kept as that of the cart it makes: if he has its token when he repeats his request he gets
/// it again, and otherwise a new cart with the same in it, and the first one, which nobody knows, ends.
pub(super) async fn add_item<T: Serialize>(
    app: &App,
    owner: &Owner,
    wanted: &Wanted,
    version: Option<i32>,
    key: Option<&Key>,
    view: impl Fn(Vec<CartLine>, Option<&str>) -> Result<T>,
) -> Result<Added> {
    let claimed = key.and_then(|key| key.of(owner));
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, claimed.as_ref(), now).await? {
        Begun::Open(tx) => tx,
        Begun::Given(answer) => return Ok(Added { answer, token: None }),
    };
    let done = async {
        let known = match owner {
            Owner::User(_) => Some(lock_or_create(app, &mut tx, owner, now).await?),
            Owner::Guest(_) => store::lock(&mut tx, owner, now).await?,
            Owner::Stranger => None,
        };
        let (owner, cart, token) = match known {
            Some(cart) => (owner.clone(), cart, None),
            None => {
                let token = random_token()?;
                let owner = Owner::Guest(sha256(token.as_bytes()));
                let cart = lock_or_create(app, &mut tx, &owner, now).await?;
                (owner, cart, Some(token))
            }
        };
        let lines = add(app, &mut tx, &owner, cart, wanted, version).await?;
        let key = key.and_then(|key| key.of(&owner));
        // The token itself is not kept.
        let kept = tx.answer_under(key.as_ref(), 200, view(lines.clone(), None)?).await?;
        let answer = match &token {
            Some(token) => tx.answer_under(None, 200, view(lines, Some(token))?).await?,
            None => kept,
        };
        Ok((owner, Added { answer, token }))
    }
    .await;
    let (owner, added) = tx.end(done).await?;
    app.empty_carts.forget(&owner).await;
    Ok(added)
}

/// Sets how many of a line the cart has, at the price of now. 0 removes the line.
pub(super) async fn update_item(
    app: &App,
    owner: &Owner,
    item: CartItemId,
    quantity: i32,
    version: Option<i32>,
) -> Result<Vec<CartLine>> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let cart = store::lock(&mut tx, owner, now).await?.ok_or(Error::NotFound("The cart line"))?;
    let mut cart = Open::load(app, &mut tx, owner, cart, None, version).await?;
    let place = cart.position(item)?;
    let Some(line) = cart.lines.get_mut(place) else { return Err(Error::NotFound("The cart line")) };
    if quantity == 0 {
        store::remove_lines(&mut tx, cart.change, Some(item)).await?;
        line.quantity = 0;
    } else {
        if !line.on_sale {
            return Err(Error::conflict("This cannot be bought any more. Remove it from your cart."));
        }
        model::check_quantity(quantity, 0, line.available, app.config.cart.max_quantity)?;
        line.quantity = quantity;
        line.seen_price_minor = line.price_minor;
        store::set_lines(&mut tx, cart.change, &[&*line]).await?;
    }
    tx.commit().await?;
    Ok(cart.changed())
}

/// Removes a line, or all without `item`.
pub(super) async fn remove(
    app: &App,
    owner: &Owner,
    item: Option<CartItemId>,
    version: Option<i32>,
) -> Result<Vec<CartLine>> {
    let mut tx = app.db.begin().await?;
    let Some(cart) = store::lock(&mut tx, owner, app.clock.now()).await? else {
        return if item.is_some() { Err(Error::NotFound("The cart line")) } else { Ok(Vec::new()) };
    };
    let mut cart = Open::load(app, &mut tx, owner, cart, None, version).await?;
    if let Some(item) = item {
        cart.position(item)?;
    }
    store::remove_lines(&mut tx, cart.change, item).await?;
    tx.commit().await?;
    cart.lines.retain(|line| item.is_some_and(|item| line.id != item));
    Ok(cart.changed())
}

/// Notes which prices the shopper was shown, so that the cart does not tell of them again. A price that is another by now is
/// told nevertheless.
pub(super) async fn acknowledge(app: &App, owner: &Owner, shown: &[(CartItemId, i64)]) -> Result<Vec<CartLine>> {
    let now = app.clock.now();
    let mut connection = app.db.acquire().await?;
    store::acknowledge(&mut connection, owner, shown, now).await?;
    Ok(store::open_cart_lines(&mut connection, owner, now).await?)
}

/// What came of joining two carts.
#[derive(Debug)]
pub struct Merged {
    /// The account's cart.
    pub lines: Vec<CartLine>,
    /// Lines that are new or have more units.
    pub changed: usize,
    /// Lines of which not all was taken.
    pub capped: Vec<model::Capped>,
}

/// Moves what is in a guest's cart to an account's, and removes the guest's. None when there is nothing to move, because it
/// was done before, or because the token names no open cart.
///
/// # Errors
/// `Conflict` when the account's cart has another version than the one that the client saw.
pub async fn merge(app: &App, user: UserId, guest: &TokenHash, version: Option<i32>) -> Result<Option<Merged>> {
    let now = app.clock.now();
    if !store::has_lines(&mut *app.db.acquire().await?, guest, now).await? {
        return Ok(None);
    }
    let owner = Owner::User(user);
    let mut tx = app.db.begin().await?;
    store::create(&mut tx, &owner, None, now).await?;
    let (mine, theirs) = store::lock_both(&mut tx, user, guest, now).await?;
    let Some(theirs) = theirs else { return Ok(None) };
    let mine = mine.ok_or_else(taken)?;
    let mut mine = Open::load(app, &mut tx, &owner, mine, None, version).await?;
    let lines = store::load(&mut tx, theirs.id, None).await?;
    let (max_quantity, max_lines) = (app.config.cart.max_quantity, app.config.orders.max_lines);
    let (changed, capped) = model::merge(&mut mine.lines, lines, max_quantity, max_lines);
    let lines: Vec<_> = mine.lines.iter().filter(|line| changed.contains(&line.variant_id)).collect();
    store::set_lines(&mut tx, mine.change, &lines).await?;
    store::remove(&mut tx, theirs.id).await?;
    tx.commit().await?;
    app.empty_carts.forget(&owner).await;
    Ok(Some(Merged { lines: mine.changed(), changed: changed.len(), capped }))
}
