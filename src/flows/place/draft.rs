//! From what is wanted and what it costs to an order that is not written yet.

use chrono::{DateTime, Utc};

use super::store::{Line, NewOrder};
use super::{Item, Request};
use crate::app::App;
use crate::features::carts::CartLine;
use crate::features::catalog;
use crate::features::orders::{Order, OrderItem, Status};
use crate::flows::order_mail::{OrderMail, SendOrderMail};
use crate::flows::quote::{PricedLine, totals};
use crate::platform::config::Config;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::{CartId, OrderId, OrderItemId, VariantId};
use crate::platform::jobs::Job;
use crate::platform::money::Amount;

/// A cart as it was read.
#[derive(Debug)]
pub(super) struct Cart {
    pub id: CartId,
    pub version: i32,
    pub lines: Vec<Line>,
}

impl Cart {
    /// What is in the cart, if all of it can be bought.
    pub(super) fn of(lines: Vec<CartLine>) -> Result<Self> {
        let Some(first) = lines.first() else {
            return Err(Error::field("items", "are required, because the cart is empty"));
        };
        let (id, version) = (first.cart_id, first.version);
        let gone: Vec<_> = lines
            .iter()
            .filter(|line| !line.on_sale)
            .map(|line| {
                FieldError::new(format!("cart.{}", line.id), format!("{} is not for sale any more", line.title))
            })
            .collect();
        if gone.is_empty() {
            return Ok(Self { id, version, lines: lines.into_iter().map(Line::from).collect() });
        }
        Err(Error::Conflict {
            message: "Something in your cart is not for sale any more. Remove it and order again.".into(),
            details: gone,
        })
    }
}

/// The lines of these items, each variant once, by what was found for sale.
pub(super) fn lines_of(items: &[Item], offers: &[Line], max_quantity: i32) -> Result<Vec<Line>> {
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
    for line in &lines {
        if line.quantity > max_quantity {
            faults.push(FieldError::new("items", format!("has more than {max_quantity} of {}", line.title)));
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(Error::Validation(faults)) }
}

/// The order, if there is enough of everything at this moment.
pub(super) fn draft(
    app: &App,
    request: &Request,
    cart: Option<&Cart>,
    lines: &[Line],
    now: DateTime<Utc>,
) -> Result<NewOrder> {
    let config = &app.config;
    let order = order(config, request, cart.map(|cart| cart.id), lines, now)?;
    let short: Vec<_> = lines
        .iter()
        .filter(|line| line.available < line.quantity)
        .map(|line| (line.variant_id, line.available))
        .collect();
    if !short.is_empty() {
        return Err(sold_out(&order, &short));
    }
    let job = SendOrderMail { order_id: order.id, mail: OrderMail::Confirmation };
    Ok(NewOrder {
        cart_version: cart.map(|cart| cart.version),
        reserved_until: now + order.payment_method.patience(&config.orders).reserved,
        job: serde_json::to_value(job).map_err(Error::internal)?,
        job_kind: SendOrderMail::KIND,
        job_attempts: config.jobs.max_attempts,
        order,
    })
}

fn order(
    config: &Config,
    request: &Request,
    cart_id: Option<CartId>,
    lines: &[Line],
    now: DateTime<Utc>,
) -> Result<Order> {
    let priced: Vec<_> =
        lines.iter().map(|line| PricedLine { unit_price: Amount(line.price_minor), quantity: line.quantity }).collect();
    let totals = totals(&priced, request.shipping_method, &config.shipping, &config.tax)?;
    if totals.total.0 == 0 {
        return Err(Error::field("items", "cost nothing; write to the shop to get them"));
    }
    let currency = lines.first().map_or_else(|| config.store.currency.clone(), |line| line.currency.clone());
    if lines.iter().any(|line| line.currency != currency) {
        return Err(Error::conflict("These goods are sold in different currencies. Order them one by one."));
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
    Ok(Order {
        id: OrderId::new(),
        number: String::new(),
        user_id: request.user,
        cart_id,
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
        expires_at: Some(now + request.payment_method.patience(&config.orders).unpaid),
        items,
    })
}

/// Which lines of the order have only so many available.
pub(super) fn sold_out(order: &Order, short: &[(VariantId, i32)]) -> Error {
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
