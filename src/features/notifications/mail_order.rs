//! What mails say about an order, its parcels and returns.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An order as mails show it. Amounts are in hundredths of the currency's unit.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct OrderSummary {
    /// The order's number, as customers see it.
    pub number: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// The customer's name.
    pub name: String,
    /// The ISO 4217 code of all its amounts.
    pub currency: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// The sum of the lines.
    pub subtotal_minor: i64,
    /// How much less the customer pays, as a positive number.
    pub discount_minor: i64,
    /// The price of shipping.
    pub shipping_minor: i64,
    /// The tax added.
    pub tax_minor: i64,
    /// What the customer pays.
    pub total_minor: i64,
    /// Where it goes.
    pub shipping_address: ShippingAddress,
    /// How it goes there, in words.
    pub shipping_method: String,
}

/// A bank account of the shop.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// The bank's name.
    pub bank: String,
    /// Whose account it is.
    pub name: String,
    /// Its number.
    pub number: String,
    /// More, such as a sort code.
    pub note: Option<String>,
}

/// One product in an order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The product's title.
    pub title: String,
    /// The chosen variant, such as `Gold / 6 yards`.
    pub variant: Option<String>,
    /// How many.
    pub quantity: i32,
    /// The price of one.
    pub unit_price_minor: i64,
    /// The price of all.
    pub total_minor: i64,
    /// A picture of the product.
    pub image_url: Option<String>,
}

/// A parcel as mails show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ParcelSummary {
    /// What is in it.
    pub lines: Vec<OrderLine>,
    /// Who carries it.
    pub carrier: Option<String>,
    /// The carrier's number.
    pub tracking_number: Option<String>,
    /// The page that tells where it is.
    pub link: Option<String>,
    /// The shop's words about it.
    pub note: Option<String>,
}

/// What a return has come to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReturnTurn {
    /// The shop has been asked.
    Requested,
    /// The goods may be sent.
    Approved,
    /// They may not.
    Rejected,
    /// They are here.
    Received,
}

/// A return as mails show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ReturnSummary {
    /// What it has come to.
    pub turn: ReturnTurn,
    /// What is sent back.
    pub lines: Vec<OrderLine>,
    /// The shop's words about it.
    pub words: Option<String>,
}

/// What somebody wants to send back of a line.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ReturnedLine {
    /// The product's title.
    pub title: String,
    /// The chosen variant, such as `Gold / 6 yards`.
    pub variant: Option<String>,
    /// Units.
    pub quantity: i32,
    /// Why, in words such as `changed mind`.
    pub reason: String,
}

/// Where an order goes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ShippingAddress {
    /// Who receives it.
    pub name: String,
    /// Street, city and so on, one line each.
    pub lines: Vec<String>,
    /// The number the courier calls.
    pub phone: Option<String>,
}

/// A payment as mails show it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PaymentSummary {
    /// The payment's reference.
    pub reference: String,
    /// When it was made.
    pub paid_at: DateTime<Utc>,
    /// The amount, in hundredths of the order's currency.
    pub amount_minor: i64,
    /// How it was made, such as `Visa ending 4081`.
    pub method_label: String,
}
