//! From what is wanted and what it costs to an order that is not written yet.

use chrono::{DateTime, Utc};

use super::store::{Line, NewOrder};
use super::{Item, Request};
use crate::app::App;
use crate::features::carts::CartLine;
use crate::features::catalog;
use crate::features::coupons::{Discount, Found, NewRedemption, Refusal};
use crate::features::orders::{FulfilmentState, Order, OrderItem, OrderTax, PaymentMethod, Status};
use crate::features::shipping::ShippingOption;
use crate::flows::methods::{self, Basis};
use crate::flows::order_mail::{OrderMail, SendOrderMail};
use crate::flows::quote::{self, Destination, LineTotals, Price, PricedLine, Totals};
use crate::flows::rates::Rates;
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

/// By what an order is priced, beside its lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// Taxes and shipping.
    pub rates: &'a Rates,
    /// The coupon that is asked for: none when nobody asks, or none has the code.
    pub coupon: Option<&'a Found>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What these lines cost, sent there with the coupon taken off; how they are sent; and all ways they could be.
///
/// # Errors
/// `Validation` when the coupon cannot be used, and when the shop does not send these goods there or not that way.
pub(super) fn price(
    config: &Config,
    request: &Request,
    lines: &[Line],
    terms: &Terms<'_>,
) -> Result<(Totals, ShippingOption, Vec<ShippingOption>)> {
    let priced: Vec<_> = lines
        .iter()
        .map(|line| PricedLine { unit_price: Amount(line.price_minor), quantity: line.quantity, grams: line.grams })
        .collect();
    let discount = discount(config, request, lines, terms)?;
    let (to, method) = (&request.destination, request.shipping_method.as_deref());
    let Price { totals, shipping, options } =
        quote::price(terms.rates, &priced, discount.as_ref(), to, method, terms.now)?;
    match shipping {
        Some(shipping) => Ok((totals, shipping, options)),
        None => Err(not_sent(&options, to)),
    }
}

fn not_sent(options: &[ShippingOption], to: &Destination) -> Error {
    if options.is_empty() {
        let place = to.region.as_ref().map_or_else(|| to.country.clone(), |region| format!("{region}, {}", to.country));
        return Error::field("shippingAddress", format!("is in {place}, where the shop does not send these goods"));
    }
    let codes: Vec<_> = options.iter().map(|option| option.code.as_str()).collect();
    Error::field("shippingMethod", format!("must be a way in which these goods are sent there: {}", codes.join(", ")))
}

/// What the coupon takes off, if one is asked for.
fn discount(config: &Config, request: &Request, lines: &[Line], terms: &Terms<'_>) -> Result<Option<Discount>> {
    if request.coupon.is_none() {
        return Ok(None);
    }
    let total = |line: &Line| Ok((line.product_id, Amount(line.price_minor).times(line.quantity)?));
    let goods = lines.iter().map(total).collect::<Result<Vec<_>>>()?;
    let outcome = terms.coupon.ok_or(Refusal::Unknown).and_then(|found| found.discount(&goods, terms.now));
    outcome.map(Some).map_err(|refusal| Error::field("couponCode", refusal.message(&config.store)))
}

/// The order, if there is enough of everything at this moment.
pub(super) fn draft(
    app: &App,
    request: &Request,
    cart: Option<&Cart>,
    lines: &[Line],
    terms: &Terms<'_>,
) -> Result<NewOrder> {
    let config = &app.config;
    let order = order(config, request, cart.map(|cart| cart.id), lines, terms)?;
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
        reserved_until: terms.now + order.payment_method.patience(&config.orders).reserved,
        rates_version: terms.rates.version,
        redemption: terms.coupon.map(|found| NewRedemption {
            coupon_id: found.coupon.id,
            coupon_version: found.coupon.version,
            order_id: order.id,
            customer: found.customer.map(|customer| customer.key),
            discount_minor: order.discount_minor,
        }),
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
    terms: &Terms<'_>,
) -> Result<Order> {
    let (totals, shipping, _) = price(config, request, lines, terms)?;
    if totals.total.0 == 0 {
        return Err(Error::field("items", "cost nothing; write to the shop to get them"));
    }
    let currency = currency(config, lines)?;
    let method = request.payment_method;
    // How many orders of his a buyer still has to pay is looked at under a lock, where it is written.
    let basis = Basis { currency: &currency, total_minor: totals.total.0, shipping: &shipping, owed: 0 };
    if let Some(reason) = methods::refusal(&config.payments, method, &basis) {
        return Err(Error::field("paymentMethod", reason));
    }
    let now = terms.now;
    let is_accepted = method == PaymentMethod::PayOnDelivery;
    Ok(Order {
        id: OrderId::new(),
        number: String::new(),
        user_id: request.user,
        cart_id,
        email: request.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        // As it is once it is written.
        status: if is_accepted { Status::Processing } else { Status::PendingPayment },
        currency,
        subtotal_minor: totals.subtotal.0,
        discount_minor: totals.discount.0,
        shipping_minor: totals.shipping.0,
        tax_minor: totals.tax.0,
        tax_included_minor: totals.tax_included.0,
        taxes: taxes(&totals),
        total_minor: totals.total.0,
        paid_minor: 0,
        coupon_code: request.coupon.as_ref().map(ToString::to_string),
        shipping_address: serde_json::to_value(&request.address).map_err(Error::internal)?,
        shipping_method: shipping.code,
        shipping_name: Some(shipping.name),
        payment_method: method,
        notes: request.notes.clone(),
        tracking_number: None,
        fulfilment_status: FulfilmentState::Unfulfilled,
        on_review: false,
        version: 1,
        placed_at: now,
        updated_at: now,
        paid_at: None,
        expires_at: (!is_accepted).then(|| now + method.patience(&config.orders).unpaid),
        items: items(lines, &totals),
    })
}

/// The currency of all lines; the shop's where there are none.
pub(super) fn currency(config: &Config, lines: &[Line]) -> Result<String> {
    let currency = lines.first().map_or(&config.store.currency, |line| &line.currency);
    if lines.iter().any(|line| line.currency != *currency) {
        return Err(Error::conflict("These goods are sold in different currencies. Order them one by one."));
    }
    Ok(currency.clone())
}

/// The components of the tax, as an order keeps them.
pub(super) fn taxes(totals: &Totals) -> Vec<OrderTax> {
    let taxes = totals.taxes.iter().map(|tax| OrderTax {
        name: tax.rate.name.clone(),
        rate_basis_points: tax.rate.rate_basis_points,
        included: tax.rate.is_included,
        amount_minor: tax.amount.0,
    });
    taxes.collect()
}

fn items(lines: &[Line], totals: &Totals) -> Vec<OrderItem> {
    let item = |(line, sums): (&Line, &LineTotals)| OrderItem {
        id: OrderItemId::new(),
        product_id: line.product_id,
        variant_id: line.variant_id,
        sku: line.sku.clone(),
        title: line.title.clone(),
        variant_name: catalog::variant_name_of(&line.options),
        image_url: line.image_url.clone(),
        unit_price_minor: line.price_minor,
        quantity: line.quantity,
        total_minor: sums.total.0,
        discount_minor: sums.discount.0,
        tax_minor: sums.tax.0,
        tax_included_minor: sums.tax_included.0,
        fulfilled_quantity: 0,
        shipped_quantity: 0,
        returned_quantity: 0,
        cancelled_quantity: 0,
    };
    lines.iter().zip(&totals.lines).map(item).collect()
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
