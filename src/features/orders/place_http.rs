//! Placing an order, and what it would cost.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::detail::OrderData;
use super::model::{Order, OrderTaxView, OrderView};
use super::payment_method::{PaymentMethod, PaymentMethodOffer};
use crate::app::App;
use crate::features::auth::Caller;
use crate::features::carts::Owner;
use crate::features::coupons::Code;
use crate::features::shipping::ShippingOption;
use crate::flows::place::{self, Quote, QuotedLine};
use crate::flows::quote::Destination;
use crate::limits;
use crate::platform::address::{Address, Country, UnknownRegion};
use crate::platform::error::{Error, Result};
use crate::platform::format::absolute_url;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, RequestMeta, ok};
use crate::platform::idempotency;
use crate::platform::ids::{ProductId, VariantId};
use crate::platform::money::Amount;
use crate::platform::text::{Email, Text};

/// An order to place: from the cart, or, with `items`, without one. What it costs is the shop's to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PlaceOrder {
    /// Instead of the cart.
    items: Option<Vec<PlaceOrderItem>>,
    /// Where a guest's mails go. An account's own address when left out.
    email: Option<Email>,
    shipping_address: Address,
    /// A code of the ways of shipping there; the first of them when left out.
    #[schema(value_type = Option<String>, max_length = 120, example = "standard")]
    shipping_method: Option<Text<1, 120>>,
    /// One that the quote says is available.
    #[serde(default)]
    payment_method: PaymentMethod,
    /// An order has one at most. One that cannot be used is refused, with the reason.
    #[schema(value_type = Option<String>, example = "WELCOME10")]
    coupon_code: Option<Code>,
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<0, 1000>>,
}

/// A line to order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PlaceOrderItem {
    /// May be left out for a product with one variant.
    variant_id: Option<VariantId>,
    product_id: Option<ProductId>,
    #[schema(minimum = 1)]
    quantity: i32,
    /// What the page showed. The shop does not look at it: its own price counts.
    #[expect(dead_code, reason = "read so that a storefront may send it")]
    #[serde(default)]
    #[schema(value_type = Option<f64>, deprecated)]
    price: Option<Box<RawValue>>,
}

/// An order to price: of the cart, or, with `items`, without one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct QuoteOrder {
    /// Instead of the cart.
    items: Option<Vec<PlaceOrderItem>>,
    /// A guest's, where a coupon asks who orders.
    email: Option<Email>,
    /// Within the shop's country when left out.
    shipping_address: Option<QuoteAddress>,
    /// As in an order.
    #[schema(value_type = Option<String>, max_length = 120, example = "standard")]
    shipping_method: Option<Text<1, 120>>,
    /// As in an order.
    #[schema(value_type = Option<String>, example = "WELCOME10")]
    coupon_code: Option<Code>,
}

/// What taxes and carriage depend on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct QuoteAddress {
    country: Country,
    /// State (Nigeria) or region (Ghana).
    #[schema(value_type = Option<String>, max_length = 100)]
    region: Option<Text<0, 100>>,
}

/// What an order would cost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuoteData {
    quote: QuoteView,
}

/// What an order would cost at this moment. Nothing is set aside.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteView {
    items: Vec<QuoteItemView>,
    currency: String,
    subtotal: Amount,
    discount: Amount,
    coupon_code: Option<String>,
    /// The code of the way of shipping that is counted.
    shipping_method: String,
    shipping: Amount,
    /// All ways in which these goods are sent there, with what each costs.
    shipping_options: Vec<ShippingOption>,
    /// On top of the prices: `subtotal - discount + shipping + tax = total`.
    tax: Amount,
    /// Within the prices.
    tax_included: Amount,
    taxes: Vec<OrderTaxView>,
    total: Amount,
    /// Every way to pay, and why an order may not be paid so.
    payment_methods: Vec<PaymentMethodOffer>,
}

/// A line of a quote.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteItemView {
    product_id: ProductId,
    variant_id: VariantId,
    sku: String,
    title: String,
    variant_name: String,
    image: Option<String>,
    quantity: i32,
    /// Units that can be bought. An order of more is refused.
    available: i32,
    /// What one unit costs.
    price: Amount,
    /// Of all units, before discount and tax.
    total: Amount,
    /// The line's part of the discount.
    discount: Amount,
    /// The line's taxes on top of its price.
    tax: Amount,
    /// The line's taxes within its price.
    tax_included: Amount,
}

impl QuoteView {
    fn new(quote: Quote, base: &str) -> Self {
        let Quote { currency, lines, totals, taxes, shipping, options, coupon, methods } = quote;
        let item = |line: QuotedLine| QuoteItemView {
            product_id: line.product_id,
            variant_id: line.variant_id,
            sku: line.sku,
            title: line.title,
            variant_name: line.variant_name,
            image: line.image_url.map(|url| absolute_url(&url, base)),
            quantity: line.quantity,
            available: line.available,
            price: Amount(line.price_minor),
            total: line.totals.total,
            discount: line.totals.discount,
            tax: line.totals.tax,
            tax_included: line.totals.tax_included,
        };
        Self {
            items: lines.into_iter().map(item).collect(),
            currency,
            subtotal: totals.subtotal,
            discount: totals.discount,
            coupon_code: coupon.map(|code| code.to_string()),
            shipping_method: shipping.code,
            shipping: totals.shipping,
            shipping_options: options,
            tax: totals.tax,
            tax_included: totals.tax_included,
            taxes: taxes.iter().map(OrderTaxView::new).collect(),
            total: totals.total,
            payment_methods: methods,
        }
    }
}

fn items_of(app: &App, items: Option<Vec<PlaceOrderItem>>) -> Result<Option<Vec<place::Item>>> {
    let Some(items) = items else { return Ok(None) };
    let item = |item: PlaceOrderItem| place::Item {
        variant: item.variant_id,
        product: item.product_id,
        quantity: item.quantity,
    };
    let items: Vec<_> = items.into_iter().map(item).collect();
    place::check_items(&app.config, &items)?;
    Ok(Some(items))
}

/// What an order would cost
///
/// By the same calculation as the order itself, with every way of shipping and its price. Nothing is set aside, and what is sold
/// out is told and not refused. A coupon that cannot be used is refused with the reason; codes that are none may be tried a few times a
/// minute.
#[utoipa::path(post, path = "/orders/quote", tag = "Orders", security((), ("bearer" = [])), request_body = QuoteOrder, responses(
    (status = 200, body = Envelope<QuoteData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, the cart is empty, a product is not for sale, the shop does not send there, or the coupon cannot be used"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Something in the cart is not for sale any more"),
    (status = 429, body = ErrorEnvelope, description = "Too many requests, or codes of coupons that there are not"),
))]
pub(super) async fn quote_order(
    State(app): State<App>,
    caller: Caller,
    owner: Owner,
    meta: RequestMeta,
    body: Body<QuoteOrder>,
) -> Answer<QuoteData> {
    let QuoteOrder { items, email, shipping_address, shipping_method, coupon_code } = body.value;
    let (country, region) = match shipping_address {
        Some(QuoteAddress { country, region }) => {
            let region = region.map(Text::into_string).filter(|region| !region.is_empty());
            let proper = region.as_deref().and_then(|region| country.region(region));
            (country.as_str().to_owned(), proper.or(region))
        }
        None => (app.config.store.country.clone(), None),
    };
    let request = place::Request {
        user: caller.map(|identity| identity.user_id),
        owner,
        items: items_of(&app, items)?,
        email,
        address: None,
        destination: Destination { country, region },
        shipping_method: shipping_method.map(Text::into_string),
        coupon: coupon_code,
        payment_method: PaymentMethod::default(),
        notes: None,
    };
    limits::check_code(&app, &meta, request.coupon.as_ref()).await?;
    let quote = place::quote(&app, request).await?;
    Ok(ok(QuoteData { quote: QuoteView::new(quote, &app.config.public_url()) }))
}

/// Place an order
///
/// Sets the stock aside for all lines or for none. An order that is paid on delivery is accepted at once, and its stock is sold.
/// Send an `Idempotency-Key`: a repeated request with the same key
/// and body gets the first answer, and no second order.
#[utoipa::path(post, path = "/orders", tag = "Orders", security((), ("bearer" = [])), request_body = PlaceOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    responses(
    (status = 201, body = Envelope<OrderData>),
    (status = 400, body = ErrorEnvelope, description = "A field is wrong, the cart is empty, a product is not for sale, the shop does not send there, or the coupon cannot be used"),
    (status = 401, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "Something is sold out (each line is named), the cart has changed, too many orders are to be paid on delivery, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
    (status = 429, body = ErrorEnvelope, description = "Too many requests, or codes of coupons that there are not"),
))]
pub(super) async fn place_order(
    State(app): State<App>,
    caller: Caller,
    owner: Owner,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<PlaceOrder>,
) -> Result<Response> {
    let PlaceOrder { items, email, shipping_address, shipping_method, payment_method, coupon_code, notes } = body.value;
    let items = items_of(&app, items)?;
    let shipping_address = shipping_address.resolve("shippingAddress", UnknownRegion::Keep)?;
    let email = email.or_else(|| shipping_address.email.clone());
    if caller.is_none() && email.is_none() {
        return Err(Error::field("email", "is required for an order without an account"));
    }
    let idempotency = key.map(|key| idempotency::Request {
        // A guest is known by his address, which is in the body: his cart's token may change between two tries.
        caller: match (&caller, &email) {
            (Some(identity), _) => identity.user_id.to_string(),
            (None, email) => format!("guest {}", email.as_ref().map_or("", Email::as_str)),
        },
        route: "POST /orders",
        key,
        fingerprint: body.fingerprint,
    });
    let shop = app.clone();
    let request = place::Request {
        user: caller.map(|identity| identity.user_id),
        owner,
        items,
        email,
        destination: Destination {
            country: shipping_address.country.as_str().to_owned(),
            region: Some(shipping_address.region.as_str().to_owned()),
        },
        address: Some(shipping_address),
        shipping_method: shipping_method.map(Text::into_string),
        coupon: coupon_code,
        payment_method,
        notes: notes.map(Text::into_string).filter(|notes| !notes.is_empty()),
    };
    let view = move |order: &Order| {
        let view = OrderView::new(order, &shop.config.public_url()).paid_by(order.transfer(&shop.config.payments));
        serde_json::to_string(&Envelope::of(OrderData { order: view }))
    };
    let mut answer = None;
    if request.coupon.is_some() {
        // Whoever asks for his answer once more tries no code.
        answer = place::answered(&app, idempotency.as_ref()).await?;
        if answer.is_none() {
            limits::check_code(&app, &meta, request.coupon.as_ref()).await?;
        }
    }
    let answer = match answer {
        Some(answer) => answer,
        None => place::place(&app, request, idempotency, view).await?,
    };
    let status =
        u16::try_from(answer.status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::CREATED);
    let mut response = (status, [(CONTENT_TYPE, "application/json")], answer.body).into_response();
    if answer.replayed {
        response.headers_mut().insert("idempotency-replayed", axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}
