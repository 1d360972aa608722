//! What an order would cost.

use super::draft::{Cart, Terms, currency, lines_of, price, taxes};
use super::{Request, on_delivery, store};
use crate::app::App;
use crate::features::coupons::{self, Code, Wanted};
use crate::features::orders::{OrderTax, PaymentMethodOffer};
use crate::features::shipping::ShippingOption;
use crate::features::{carts, catalog};
use crate::flows::methods::{self, Basis};
use crate::flows::quote::{LineTotals, Totals};
use crate::platform::error::Result;
use crate::platform::ids::{ProductId, VariantId};

/// What an order would cost at this moment.
#[derive(Debug)]
pub struct Quote {
    /// ISO 4217.
    pub currency: String,
    /// Its lines.
    pub lines: Vec<QuotedLine>,
    /// Its sums.
    pub totals: Totals,
    /// The components of the tax.
    pub taxes: Vec<OrderTax>,
    /// How it would be sent.
    pub shipping: ShippingOption,
    /// All ways it could be sent.
    pub options: Vec<ShippingOption>,
    /// The coupon that is taken off.
    pub coupon: Option<Code>,
    /// The ways to pay it.
    pub methods: Vec<PaymentMethodOffer>,
}

/// A line of a quote.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of an order's line")]
pub struct QuotedLine {
    pub product_id: ProductId,
    pub variant_id: VariantId,
    pub sku: String,
    pub title: String,
    pub variant_name: String,
    pub image_url: Option<String>,
    pub price_minor: i64,
    pub quantity: i32,
    /// Units that nobody has.
    pub available: i32,
    pub totals: LineTotals,
}

/// What the order would cost, by the calculation that places it. It writes nothing.
///
/// # Errors
/// As [`super::place`], but not for what is sold out.
pub async fn quote(app: &App, request: Request) -> Result<Quote> {
    let now = app.clock.now();
    let rates = app.rates.current().await?;
    let mut connection = app.db.acquire().await?;
    let lines = match &request.items {
        Some(items) => {
            let offers = store::offers(&mut connection, &items.iter().collect::<Vec<_>>()).await?;
            lines_of(items, &offers, app.config.cart.max_quantity)?
        }
        None => Cart::of(carts::open_cart_lines(&mut connection, &request.owner, now).await?)?.lines,
    };
    let coupon = match &request.coupon {
        Some(code) => {
            let products: Vec<_> = lines.iter().map(|line| line.product_id).collect();
            let wanted = Wanted { code, user: request.user, email: request.email.as_ref() };
            coupons::find(&mut connection, wanted, &products).await?
        }
        None => None,
    };
    let owed =
        if app.config.payments.pay_on_delivery { on_delivery::owed(&mut connection, request.user).await? } else { 0 };
    connection.done();
    let terms = Terms { rates: &rates, coupon: coupon.as_ref(), now };
    let (totals, shipping, options) = price(&app.config, &request, &lines, &terms)?;
    let currency = currency(&app.config, &lines)?;
    let basis = Basis { currency: &currency, total_minor: totals.total.0, shipping: &shipping, owed };
    let methods = methods::offers(&app.config.payments, &basis);
    let lines = lines.into_iter().zip(&totals.lines).map(|(line, totals)| QuotedLine {
        product_id: line.product_id,
        variant_id: line.variant_id,
        sku: line.sku,
        title: line.title,
        variant_name: catalog::variant_name_of(&line.options),
        image_url: line.image_url,
        price_minor: line.price_minor,
        quantity: line.quantity,
        available: line.available.max(0),
        totals: *totals,
    });
    Ok(Quote {
        currency,
        lines: lines.collect(),
        taxes: taxes(&totals),
        totals,
        shipping,
        options,
        coupon: request.coupon,
        methods,
    })
}
