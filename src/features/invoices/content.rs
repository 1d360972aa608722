//! What an invoice says.

use super::document::{Content, Line, StampText, Sum};
use super::model::{Invoice, Says, Stamp};
use super::paper::{Color, INK};
use crate::features::orders::{self, Order, OrderTax, PaymentMethod};
use crate::platform::config::Config;
use crate::platform::format::{date, money};

const GREEN: Color = (0x1a, 0x7f, 0x37);
const AMBER: Color = (0x9a, 0x67, 0x00);
const RED: Color = (0xb4, 0x23, 0x18);

/// Puts the words of an invoice together.
pub(super) fn content(order: &Order, invoice: &Invoice, says: Says, config: &Config) -> Content {
    let day = |at| date(at, config.store.utc_offset_minutes);
    let seller = &invoice.seller;
    let tax_number = Some(&seller.tax_number).filter(|number| !number.is_empty());
    let seller_lines = [
        Some(seller.name.clone()),
        Some(seller.address.clone()),
        tax_number.map(|number| format!("Tax number {number}")),
    ]
    .into_iter()
    .chain([Some(seller.email.clone())])
    .flatten();
    Content {
        number: invoice.number.clone(),
        issued_at: invoice.issued_at,
        accent: color(&config.store.accent),
        shop: config.store.name.clone(),
        seller: seller_lines.filter(|line| !line.trim().is_empty()).collect(),
        buyer: buyer(order, says),
        facts: vec![
            ("Invoice", invoice.number.clone()),
            ("Date", day(invoice.issued_at)),
            ("Order", format!("{} of {}", order.number, day(order.placed_at))),
            ("Payment", method(order.payment_method).to_owned()),
        ],
        lines: lines(order),
        sums: sums(order, says),
        stamp: Some(match says.stamp {
            Stamp::Paid => StampText { text: "PAID", below: order.paid_at.map(day).unwrap_or_default(), color: GREEN },
            Stamp::Due => StampText { text: "DUE", below: "on delivery".to_owned(), color: AMBER },
            Stamp::Cancelled => StampText { text: "CANCELLED", below: String::new(), color: RED },
            Stamp::Refunded => StampText { text: "REFUNDED", below: String::new(), color: RED },
        }),
        notes: Some(config.invoices.note.clone()).filter(|note| !note.is_empty()).into_iter().collect(),
    }
}

fn buyer(order: &Order, says: Says) -> Vec<String> {
    if !says.names_buyer {
        return vec!["(erased at the buyer's wish)".to_owned()];
    }
    let phone = order.shipping_address["phone"].as_str().unwrap_or_default().to_owned();
    let all = [order.recipient()].into_iter().chain(order.address_lines()).chain([phone, order.email.clone()]);
    all.filter(|line| !line.is_empty()).collect()
}

fn method(method: PaymentMethod) -> &'static str {
    match method {
        PaymentMethod::Paystack => "Online",
        PaymentMethod::BankTransfer | PaymentMethod::ManualTransfer => "Bank transfer",
        PaymentMethod::PayOnDelivery => "On delivery",
    }
}

fn lines(order: &Order) -> Vec<Line> {
    let line = |item: &orders::OrderItem| {
        let variant = Some(item.variant_name.as_str()).filter(|name| *name != "Standard");
        let details = [variant, Some(item.sku.as_str())];
        Line {
            title: item.title.clone(),
            details: details.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            quantity: item.quantity.to_string(),
            price: money(item.unit_price_minor, &order.currency),
            amount: money(item.total_minor, &order.currency),
        }
    };
    order.items.iter().map(line).collect()
}

/// What adds up to the total, the total, the taxes within it, and, where that is not all that there is to say, what was paid and what of it
/// has gone back.
fn sums(order: &Order, says: Says) -> Vec<Sum> {
    let amount = |minor| money(minor, &order.currency);
    let plain = |what: String, minor| Sum { what, amount: amount(minor), is_total: false };
    let mut sums = vec![plain("Subtotal".to_owned(), order.subtotal_minor)];
    if order.discount_minor > 0 {
        let code = order.coupon_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        sums.push(plain(format!("Discount{code}"), -order.discount_minor));
    }
    sums.push(plain(format!("Shipping: {}", order.shipping_label()), order.shipping_minor));
    let of = |included: bool| order.taxes.iter().filter(move |tax| tax.included == included);
    sums.extend(of(false).map(|tax| plain(tax_name(tax), tax.amount_minor)));
    sums.push(Sum { what: "Total".to_owned(), amount: amount(order.total_minor), is_total: true });
    sums.extend(of(true).map(|tax| plain(format!("of which {}", tax_name(tax)), tax.amount_minor)));
    let is_back = says.refunded_minor > 0;
    if order.paid_at.is_some() && (is_back || says.paid_minor != order.total_minor) {
        sums.push(plain("Paid".to_owned(), says.paid_minor));
    }
    if is_back {
        sums.push(plain("Given back".to_owned(), -says.refunded_minor));
    }
    sums
}

/// Such as `VAT 7.5 %`.
fn tax_name(tax: &OrderTax) -> String {
    let (whole, part) = (tax.rate_basis_points / 100, tax.rate_basis_points % 100);
    let part = format!("{part:02}");
    let part = part.trim_end_matches('0');
    let dot = if part.is_empty() { "" } else { "." };
    format!("{} {whole}{dot}{part} %", tax.name)
}

/// A colour such as `#7a1f2b` or `#fff`; that of ink for whatever else CSS knows.
fn color(css: &str) -> Color {
    let digits = css.strip_prefix('#').unwrap_or_default();
    let digit = |at: usize| digits.get(at..=at).and_then(|digit| u8::from_str_radix(digit, 16).ok());
    let pair = |at: usize| Some(digit(at)? * 16 + digit(at + 1)?);
    let twice = |at: usize| Some(digit(at)? * 17);
    let read = match digits.len() {
        6 => (|| Some((pair(0)?, pair(2)?, pair(4)?)))(),
        3 => (|| Some((twice(0)?, twice(1)?, twice(2)?)))(),
        _ => None,
    };
    read.unwrap_or(INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_css_writes_them() {
        assert_eq!(color("#7a1f2b"), (0x7a, 0x1f, 0x2b));
        assert_eq!(color("#0F8"), (0, 255, 136));
        for other in ["", "#", "#12", "#12345g", "rebeccapurple", "#ééé"] {
            assert_eq!(color(other), INK, "{other}");
        }
    }

    #[test]
    fn a_rate_is_written_as_short_as_it_goes() {
        let tax =
            |rate_basis_points| OrderTax { name: "VAT".into(), rate_basis_points, included: true, amount_minor: 1 };
        let names = [750, 1500, 5, 1234, 0].map(|rate| tax_name(&tax(rate)));
        assert_eq!(names, ["VAT 7.5 %", "VAT 15 %", "VAT 0.05 %", "VAT 12.34 %", "VAT 0 %"]);
    }
}
