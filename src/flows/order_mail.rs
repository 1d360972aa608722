//! The mails about an order.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::features::notifications::{self, Mail, NewMail, OrderLine, OrderSummary, PaymentSummary, ShippingAddress};
use crate::features::orders::{self, Order};
use crate::features::payments;
use crate::platform::address::Country;
use crate::platform::format::absolute_url;
use crate::platform::ids::OrderId;
use crate::platform::jobs::{Job, JobError};

/// Sends one mail about an order, once.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendOrderMail {
    /// The order.
    pub order_id: OrderId,
    /// Which mail.
    pub mail: OrderMail,
}

/// Which mail.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderMail {
    /// The order is placed.
    Confirmation,
    /// The money is here.
    Receipt,
}

#[async_trait]
impl Job<App> for SendOrderMail {
    const KIND: &'static str = "send_order_mail";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let mut tx = app.db.begin().await?;
        let Some(order) = orders::find(&mut tx, self.order_id).await? else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no order {}", self.order_id)));
        };
        // The buyer was erased meanwhile.
        if orders::is_erased(&order.email) {
            return Ok(());
        }
        let base = app.config.public_url();
        let summary = summary(&order, &base);
        let (dedupe_key, mail) = match self.mail {
            OrderMail::Confirmation => {
                (format!("order_confirmation/{}", order.id), Mail::OrderConfirmation { order: summary, pay_link: None })
            }
            OrderMail::Receipt => {
                let Some(payment) = payments::find_successful(&mut tx, order.id).await? else {
                    return Err(JobError::Fail(anyhow::anyhow!("order {} is not paid", order.id)));
                };
                let payment = PaymentSummary {
                    method_label: payment.method_label(),
                    paid_at: payment.paid_at.or(order.paid_at).unwrap_or(order.updated_at),
                    amount_minor: payment.amount_minor,
                    reference: payment.reference,
                };
                (format!("payment_receipt/{}", order.id), Mail::PaymentReceipt { order: summary, payment })
            }
        };
        let mail =
            NewMail { dedupe_key, recipient: order.email, user_id: order.user_id, order_id: Some(order.id), mail };
        notifications::send(app, &mut tx, mail).await?;
        Ok(tx.commit().await?)
    }
}

fn summary(order: &Order, base: &str) -> OrderSummary {
    let address = &order.shipping_address;
    let text = |key: &str| address[key].as_str().unwrap_or_default().to_owned();
    let join = |parts: &[String]| {
        parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        text("addressLine1"),
        text("addressLine2"),
        text("landmark"),
        join(&[text("city"), text("region"), text("postalCode")]),
        text("country").parse::<Country>().map_or_else(|_| text("country"), |country| country.name().to_owned()),
    ];
    OrderSummary {
        number: order.number.clone(),
        placed_at: order.placed_at,
        name: text("firstName"),
        currency: order.currency.clone(),
        lines: order
            .items
            .iter()
            .map(|item| OrderLine {
                title: item.title.clone(),
                variant: Some(item.variant_name.clone()).filter(|name| name != "Standard"),
                quantity: item.quantity,
                unit_price_minor: item.unit_price_minor,
                total_minor: item.total_minor,
                image_url: item.image_url.as_ref().map(|url| absolute_url(url, base)),
            })
            .collect(),
        subtotal_minor: order.subtotal_minor,
        discount_minor: order.discount_minor,
        shipping_minor: order.shipping_minor,
        tax_minor: order.tax_minor,
        total_minor: order.total_minor,
        shipping_address: ShippingAddress {
            name: format!("{} {}", text("firstName"), text("lastName")),
            lines: lines.into_iter().filter(|line| !line.is_empty()).collect(),
            phone: address["phone"]
                .as_str()
                .map(str::to_owned)
                .filter(|phone| *address != Value::Null && !phone.is_empty()),
        },
        shipping_method: order.shipping_method.label().to_owned(),
    }
}
