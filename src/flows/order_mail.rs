//! The mails about an order.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use crate::app::App;
use crate::features::notifications::{
    self, AccountSummary, Mail, NewMail, OrderLine, OrderSummary, ParcelSummary, PaymentSummary, RefundSummary,
    RefundTurn, ReturnSummary, ReturnTurn, ShippingAddress,
};
use crate::features::orders::{self, Order, PaymentMethod, ReturnStatus};
use crate::features::payments;
use crate::platform::config::TransferAccount;
use crate::platform::error::Result;
use crate::platform::format::absolute_url;
use crate::platform::ids::{FulfilmentId, OrderId, OrderItemId, RefundId, ReturnId};
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
    /// A parcel is on its way.
    Shipped {
        /// Which.
        parcel: FulfilmentId,
    },
    /// A parcel has arrived.
    Delivered {
        /// Which.
        parcel: FulfilmentId,
    },
    /// The order was given up.
    Cancelled,
    /// Money has come to this on its way back.
    Refund {
        /// Which.
        refund: RefundId,
        /// What has come of it.
        turn: RefundTurn,
    },
    /// A return has come to this.
    Return {
        /// Which.
        back: ReturnId,
        /// What it has come to.
        status: ReturnStatus,
    },
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
        let Some(mail) = compose(app, &mut tx, order, self.mail).await? else {
            return Err(JobError::Fail(anyhow::anyhow!("there is no such mail about the order {}", self.order_id)));
        };
        notifications::send(app, &mut tx, mail).await?;
        Ok(tx.commit().await?)
    }
}

/// Writes a mail about an order. None where there is nothing that it could tell, such as a receipt of what is not paid.
///
/// # Errors
/// The database's.
pub(super) async fn compose(
    app: &App,
    c: &mut PgConnection,
    order: Order,
    which: OrderMail,
) -> Result<Option<NewMail>> {
    let summary = summary(&order, &app.config.public_url());
    let id = order.id;
    let composed = match which {
        OrderMail::Confirmation => {
            let mail = Mail::OrderConfirmation {
                transfer: order.transfer(&app.config.payments).map(|by| accounts(by.accounts)).unwrap_or_default(),
                on_delivery: order.payment_method == PaymentMethod::PayOnDelivery && order.paid_at.is_none(),
                order: summary,
                pay_link: None,
            };
            Some((format!("order_confirmation/{id}"), mail))
        }
        OrderMail::Receipt => payments::find_successful(c, id).await?.map(|payment| {
            let payment = PaymentSummary {
                method_label: payment.method_label(),
                paid_at: payment.paid_at.or(order.paid_at).unwrap_or(order.updated_at),
                amount_minor: payment.paid_minor,
                reference: payment.reference,
            };
            (format!("payment_receipt/{id}"), Mail::PaymentReceipt { order: summary, payment })
        }),
        OrderMail::Shipped { parcel } => parcel_summary(c, &order, &summary, parcel).await?.map(|parcel_told| {
            (format!("order_shipped/{parcel}"), Mail::OrderShipped { order: summary, parcel: parcel_told })
        }),
        OrderMail::Delivered { parcel } => parcel_summary(c, &order, &summary, parcel).await?.map(|parcel_told| {
            (format!("order_delivered/{parcel}"), Mail::OrderDelivered { order: summary, parcel: parcel_told })
        }),
        OrderMail::Cancelled => {
            let reason = orders::last_words(c, id, "cancelled").await?;
            let refund_minor = payments::of_order(c, id).await?.iter().map(|payment| payment.refunded.0).sum();
            Some((format!("order_cancelled/{id}"), Mail::OrderCancelled { order: summary, reason, refund_minor }))
        }
        OrderMail::Refund { refund, turn } => payments::find_refund(c, refund).await?.map(|refund| {
            let told = RefundSummary {
                turn,
                amount_minor: refund.amount_minor,
                currency: refund.currency,
                words: refund.reason.filter(|words| !words.is_empty() && turn == RefundTurn::Requested),
            };
            (
                format!("order_refund/{}/{}", refund.id, turn.as_str()),
                Mail::OrderRefund { order: summary, refund: told },
            )
        }),
        OrderMail::Return { back, status } => {
            let key = format!("order_return/{back}/{}", status.as_str());
            return_summary(c, &order, &summary, back, status)
                .await?
                .map(|told| (key, Mail::OrderReturn { order: summary, back: told }))
        }
    };
    Ok(composed.map(|(dedupe_key, mail)| NewMail {
        dedupe_key,
        recipient: order.email,
        user_id: order.user_id,
        order_id: Some(id),
        mail,
    }))
}

fn accounts(accounts: Vec<TransferAccount>) -> Vec<AccountSummary> {
    let account = |account: TransferAccount| AccountSummary {
        bank: account.bank,
        name: account.name,
        number: account.number,
        note: account.note,
    };
    accounts.into_iter().map(account).collect()
}

/// A parcel that has left the house, as mails show it.
async fn parcel_summary(
    c: &mut PgConnection,
    order: &Order,
    summary: &OrderSummary,
    id: FulfilmentId,
) -> Result<Option<ParcelSummary>> {
    let parcels = orders::parcels(c, order.id).await?;
    let Some(parcel) = parcels.into_iter().find(|parcel| parcel.id == id && parcel.is_sent()) else { return Ok(None) };
    let lines: Vec<_> = parcel.items.iter().map(|item| (item.order_item_id, item.quantity)).collect();
    Ok(Some(ParcelSummary {
        lines: lines_of(order, summary, &lines),
        carrier: parcel.carrier.map(|carrier| carrier.name().to_owned()),
        link: parcel.link(),
        tracking_number: parcel.tracking_number,
        note: parcel.note,
    }))
}

async fn return_summary(
    c: &mut PgConnection,
    order: &Order,
    summary: &OrderSummary,
    id: ReturnId,
    status: ReturnStatus,
) -> Result<Option<ReturnSummary>> {
    let turn = match status {
        ReturnStatus::Requested => ReturnTurn::Requested,
        ReturnStatus::Approved => ReturnTurn::Approved,
        ReturnStatus::Rejected => ReturnTurn::Rejected,
        ReturnStatus::Received => ReturnTurn::Received,
        // Whoever withdraws it knows.
        ReturnStatus::Cancelled => return Ok(None),
    };
    let returns = orders::returns(c, order.id).await?;
    let Some(back) = returns.into_iter().find(|back| back.id == id) else { return Ok(None) };
    let lines: Vec<_> = back.items.iter().map(|item| (item.order_item_id, item.quantity)).collect();
    let words = back.answer.filter(|_| turn != ReturnTurn::Requested);
    Ok(Some(ReturnSummary { turn, lines: lines_of(order, summary, &lines), words }))
}

/// Lines of an order with other quantities.
fn lines_of(order: &Order, summary: &OrderSummary, wanted: &[(OrderItemId, i32)]) -> Vec<OrderLine> {
    let found = wanted.iter().filter_map(|(id, quantity)| {
        let place = order.items.iter().position(|item| item.id == *id)?;
        let line = summary.lines.get(place)?.clone();
        let total_minor = line.unit_price_minor.saturating_mul(i64::from(*quantity));
        Some(OrderLine { quantity: *quantity, total_minor, ..line })
    });
    found.collect()
}

fn summary(order: &Order, base: &str) -> OrderSummary {
    let address = &order.shipping_address;
    let text = |key: &str| address[key].as_str().unwrap_or_default().to_owned();
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
            name: order.recipient(),
            lines: order.address_lines(),
            phone: address["phone"]
                .as_str()
                .map(str::to_owned)
                .filter(|phone| *address != Value::Null && !phone.is_empty()),
        },
        shipping_method: order.shipping_label().to_owned(),
    }
}
