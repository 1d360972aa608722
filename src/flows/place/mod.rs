//! Places an order: reads the prices, adds up, and then, in one statement, sets the stock aside and writes the order
//! with all that belongs to it.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use self::store::{Line, NewOrder, Outcome};
use super::order_mail::{OrderMail, SendOrderMail};
use super::quote::{PricedLine, totals};
use crate::app::App;
use crate::features::auth;
use crate::features::carts::{self, Owner};
use crate::features::catalog;
use crate::features::orders::{Order, OrderItem, PaymentMethod, ShippingMethod, Status};
use crate::platform::address::Address;
use crate::platform::db::Connection;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::idempotency;
use crate::platform::ids::{CartId, OrderId, OrderItemId, ProductId, UserId, VariantId};
use crate::platform::jobs::Job;
use crate::platform::money::Amount;
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
    /// Where the goods go.
    pub address: Address,
    /// How they travel.
    pub shipping_method: ShippingMethod,
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

/// How often prices may change between reading and writing before the shopper is asked to try again.
const TRIES: usize = 3;

/// What became of a try to write an order.
enum Written {
    Placed { body: String },
    Replayed(Answer),
    Short(Vec<(VariantId, i32)>),
    Stale,
}

/// Places the order. `view` makes the answer, which is stored with the order under the idempotency key.
///
/// # Errors
/// `Validation` for an empty cart and for what is not for sale; `Conflict` when something is sold out, with each line;
/// what [`idempotency::claim`] refuses.
pub async fn place(
    app: &App,
    request: Request,
    idempotency: Option<idempotency::Request>,
    view: impl Fn(&Order) -> serde_json::Result<String>,
) -> Result<Answer> {
    for _ in 0..TRIES {
        let now = app.clock.now();
        let mut connection = app.db.acquire_hot().await?;
        if let Some(stored) = replay(&mut connection, idempotency.as_ref(), now).await? {
            return Ok(stored);
        }
        let (cart, lines) = match read_lines(app, &mut connection, &request, now).await {
            Ok(read) => read,
            // The first request with this key may have ordered the cart since we looked for its answer.
            Err(refusal) => {
                let stored = replay(&mut connection, idempotency.as_ref(), now).await?;
                return stored.ok_or(refusal);
            }
        };
        let mut order = draft(app, &request, cart, &lines, now)?;
        if let (true, Some(user)) = (order.email.is_empty(), order.user_id) {
            order.email = auth::email_of(&mut connection, user).await?.ok_or_else(Error::gone)?;
        }
        let new = NewOrder {
            cart_version: cart.map(|(_, version)| version),
            reserved_until: now + TimeDelta::minutes(app.config.orders.reservation_minutes),
            job: serde_json::to_value(SendOrderMail { order_id: order.id, mail: OrderMail::Confirmation })
                .map_err(Error::internal)?,
            job_kind: SendOrderMail::KIND,
            job_attempts: app.config.jobs.max_attempts,
            order,
        };
        match write(connection, &new, idempotency.as_ref(), &view, now).await? {
            Written::Placed { body } => {
                app.waker.wake();
                let products: Vec<_> = new.order.items.iter().map(|item| item.product_id).collect();
                app.product_cache.forget(&products).await;
                metrics::counter!("agape_orders_placed_total").increment(1);
                return Ok(Answer { status: 201, body, replayed: false });
            }
            Written::Replayed(answer) => return Ok(answer),
            Written::Short(short) => return Err(sold_out(&new.order, &short)),
            // A price or the cart changed after it was read: read again.
            Written::Stale => {}
        }
    }
    Err(Error::conflict("Prices or your cart are changing at this moment. Look at your cart and try again."))
}

/// The stored answer, before anything is read: a repeated request must not fail because the cart is ordered by now.
async fn replay(
    c: &mut PgConnection,
    key: Option<&idempotency::Request>,
    now: DateTime<Utc>,
) -> Result<Option<Answer>> {
    let Some(key) = key else { return Ok(None) };
    let stored = idempotency::find(c, key, now).await?;
    Ok(stored.map(Answer::again))
}

/// Writes the order, and its answer under the key if there is one.
async fn write(
    mut connection: Connection,
    new: &NewOrder,
    key: Option<&idempotency::Request>,
    view: impl Fn(&Order) -> serde_json::Result<String>,
    now: DateTime<Utc>,
) -> Result<Written> {
    let Some(key) = key else {
        // One statement is a transaction of its own, without the round trips of begin and commit.
        return written(store::insert(&mut connection, new, now).await?, new, view);
    };
    let mut tx = connection.begin().await?;
    if let Some(stored) = idempotency::claim(&mut tx, key, now).await? {
        return Ok(Written::Replayed(Answer::again(stored)));
    }
    let written = written(store::insert(&mut tx, new, now).await?, new, view)?;
    if let Written::Placed { body } = &written {
        idempotency::store(&mut tx, key, 201, body, now).await?;
        tx.commit().await?;
    } else {
        // At once, so that the key is free for the next try.
        tx.rollback().await?;
    }
    Ok(written)
}

fn written(outcome: Outcome, new: &NewOrder, view: impl Fn(&Order) -> serde_json::Result<String>) -> Result<Written> {
    Ok(match outcome {
        Outcome::Placed { number } => {
            let order = Order { number, ..new.order.clone() };
            Written::Placed { body: view(&order).map_err(Error::internal)? }
        }
        Outcome::Gone => return Err(Error::gone()),
        Outcome::Short(short) => Written::Short(short),
        Outcome::Stale => Written::Stale,
    })
}

impl Answer {
    fn again(stored: idempotency::Stored) -> Self {
        Self { status: stored.status, body: stored.body, replayed: true }
    }
}

async fn read_lines(
    app: &App,
    c: &mut PgConnection,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<(Option<(CartId, i32)>, Vec<Line>)> {
    let Some(items) = &request.items else {
        let lines = carts::open_cart_lines(c, &request.owner, now).await?;
        let Some(first) = lines.first() else {
            return Err(Error::field("items", "are required, because the cart is empty"));
        };
        let cart = (first.cart_id, first.version);
        let gone: Vec<_> = lines
            .iter()
            .filter(|line| !line.on_sale)
            .map(|line| {
                FieldError::new(format!("cart.{}", line.id), format!("{} is not for sale any more", line.title))
            })
            .collect();
        if !gone.is_empty() {
            return Err(Error::Conflict {
                message: "Something in your cart is not for sale any more. Remove it and order again.".into(),
                details: gone,
            });
        }
        return Ok((Some(cart), lines.into_iter().map(Line::from).collect()));
    };
    let offers = store::offers(c, items).await?;
    let mut lines: Vec<Line> = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let mut matching = offers.iter().filter(|offer| match item.variant {
            Some(variant) => {
                offer.variant_id == variant && item.product.is_none_or(|product| product == offer.product_id)
            }
            None => Some(offer.product_id) == item.product,
        });
        match (matching.next(), matching.next()) {
            (Some(offer), None) => match lines.iter_mut().find(|line| line.variant_id == offer.variant_id) {
                Some(line) => line.quantity = line.quantity.saturating_add(item.quantity),
                None => lines.push(Line { quantity: item.quantity, ..offer.clone() }),
            },
            (Some(_), Some(_)) => faults.push(FieldError::new(
                format!("items[{i}].variantId"),
                "is required, because this product has several variants",
            )),
            (None, _) => {
                let field = if item.variant.is_some() { "variantId" } else { "productId" };
                faults.push(FieldError::new(format!("items[{i}].{field}"), "is not for sale in this shop"));
            }
        }
    }
    let max = app.config.cart.max_quantity;
    for line in &lines {
        if line.quantity > max {
            faults.push(FieldError::new("items", format!("has more than {max} of {}", line.title)));
        }
    }
    if faults.is_empty() { Ok((None, lines)) } else { Err(Error::Validation(faults)) }
}

fn draft(
    app: &App,
    request: &Request,
    cart: Option<(CartId, i32)>,
    lines: &[Line],
    now: DateTime<Utc>,
) -> Result<Order> {
    let priced: Vec<_> =
        lines.iter().map(|line| PricedLine { unit_price: Amount(line.price_minor), quantity: line.quantity }).collect();
    let totals = totals(&priced, request.shipping_method, &app.config.shipping, &app.config.tax)?;
    if totals.total.0 == 0 {
        return Err(Error::field("items", "cost nothing; write to the shop to get them"));
    }
    let items = lines
        .iter()
        .zip(&totals.lines)
        .map(|(line, (total, tax))| OrderItem {
            id: OrderItemId::new(),
            product_id: line.product_id,
            variant_id: line.variant_id,
            sku: line.sku.clone(),
            title: line.title.clone(),
            variant_name: catalog::variant_name_of(&line.options),
            image_url: line.image_url.clone(),
            unit_price_minor: line.price_minor,
            quantity: line.quantity,
            total_minor: total.0,
            tax_minor: tax.0,
        })
        .collect();
    let currency = lines.first().map_or_else(|| app.config.store.currency.clone(), |line| line.currency.clone());
    if lines.iter().any(|line| line.currency != currency) {
        return Err(Error::conflict("These goods are sold in different currencies. Order them one by one."));
    }
    Ok(Order {
        id: OrderId::new(),
        number: String::new(),
        user_id: request.user,
        cart_id: cart.map(|(id, _)| id),
        email: request.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: Status::PendingPayment,
        currency,
        subtotal_minor: totals.subtotal.0,
        discount_minor: totals.discount.0,
        shipping_minor: totals.shipping.0,
        tax_minor: totals.tax.0,
        total_minor: totals.total.0,
        shipping_address: serde_json::to_value(&request.address).map_err(Error::internal)?,
        shipping_method: request.shipping_method,
        payment_method: request.payment_method,
        notes: request.notes.clone(),
        tracking_number: None,
        placed_at: now,
        updated_at: now,
        paid_at: None,
        expires_at: Some(now + TimeDelta::minutes(app.config.orders.unpaid_minutes)),
        items,
    })
}

fn sold_out(order: &Order, short: &[(VariantId, i32)]) -> Error {
    let name = |id: VariantId| {
        order.items.iter().find(|item| item.variant_id == id).map_or_else(String::new, |item| {
            if item.variant_name == "Standard" {
                item.title.clone()
            } else {
                format!("{} ({})", item.title, item.variant_name)
            }
        })
    };
    let details: Vec<_> = order
        .items
        .iter()
        .enumerate()
        .filter_map(|(i, item)| {
            let (_, available) = short.iter().find(|(id, _)| *id == item.variant_id)?;
            let left = if *available <= 0 { "none are".to_owned() } else { format!("only {available} are") };
            Some(FieldError::new(format!("items[{i}].quantity"), format!("{left} left of {}", name(item.variant_id))))
        })
        .collect();
    let message = match short {
        [(id, available)] if *available <= 0 => format!("{} is sold out.", name(*id)),
        [(id, available)] => format!("Only {available} of {} are left.", name(*id)),
        _ => "Some of these goods are sold out.".into(),
    };
    Error::Conflict { message: format!("{message} Nothing was ordered; change the quantity and try again."), details }
}
