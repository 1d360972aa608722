//! What is sold, and how.

use serde::Deserialize;

use super::{Faults, is_web, sections};
use crate::platform::text::Email;

sections! {
    Store {
        name: String, url: String, product_url: String, currency: String, country: String, support_email: String, accent: String,
        logo_url: String, address: String, utc_offset_minutes: i32, demo_data: bool,
    }
    Cart { guest_hours: i64, max_quantity: i32, reminder_hours: i64, reminder_url: String, }
    Invoices { prefix: String, seller: String, tax_number: String, note: String, }
    Wishlist { max_items: i64, }
    Orders {
        reservation_minutes: i64, unpaid_minutes: i64, transfer_reservation_minutes: i64, transfer_unpaid_minutes: i64,
        cancel_paid: bool, return_days: i64, return_emails: Vec<Email>, max_lines: usize, batch: usize,
    }
    Lists { limit: i64, max_limit: i64, popular_days: i64, }
    Inventory { low_stock: i32, low_stock_emails: Vec<Email>, low_stock_mail: bool, request_days: i64, }
}

impl Store {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            self.currency.len() == 3 && self.currency.bytes().all(|b| b.is_ascii_uppercase()),
            "store.currency: must be three capital letters, such as NGN",
        );
        faults.require(
            self.country.len() == 2 && self.country.bytes().all(|b| b.is_ascii_uppercase()),
            "store.country: must be two capital letters, such as NG",
        );
        faults.require(
            self.product_url.is_empty() || is_web(&self.product_url),
            "store.product_url: must be an http or https address",
        );
    }
}

impl Cart {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(self.max_quantity > 0, "cart.max_quantity: must be at least 1");
        faults.require((1..=8_760).contains(&self.guest_hours), "cart.guest_hours: must be 1 to 8760 (a year)");
        faults.require(
            (0..=168).contains(&self.reminder_hours),
            "cart.reminder_hours: must be 0 to 168 (a week); 0 sends no reminders",
        );
        faults.require(
            self.reminder_url.is_empty() || is_web(&self.reminder_url),
            "cart.reminder_url: must be an http or https address",
        );
    }
}

impl Invoices {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            (1..=10).contains(&self.prefix.len())
                && self.prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
            "invoices.prefix: must be 1 to 10 capital letters and digits",
        );
        for (name, text, most) in
            [("seller", &self.seller, 200), ("tax_number", &self.tax_number, 60), ("note", &self.note, 1_000)]
        {
            let fault = format!("invoices.{name}: must have at most {most} characters");
            faults.require(text.chars().count() <= most, &fault);
        }
    }
}

impl Wishlist {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require((1..=1_000).contains(&self.max_items), "wishlist.max_items: must be 1 to 1000");
    }
}

impl Orders {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(
            self.reservation_minutes > 0 && self.unpaid_minutes >= self.reservation_minutes,
            "orders.unpaid_minutes: must be at least reservation_minutes, which must be at least 1",
        );
        faults.require(
            self.transfer_reservation_minutes > 0 && self.transfer_unpaid_minutes >= self.transfer_reservation_minutes,
            "orders.transfer_unpaid_minutes: must be at least transfer_reservation_minutes, which must be at least 1",
        );
        faults.require((0..=3_650).contains(&self.return_days), "orders.return_days: must be 0 to 3650 (ten years)");
        faults.require((1..=1_000).contains(&self.batch), "orders.batch: must be 1 to 1000");
    }
}

impl Lists {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(self.limit > 0 && self.limit <= self.max_limit, "lists.limit: must be 1 to max_limit");
        faults.require((1..=3_650).contains(&self.popular_days), "lists.popular_days: must be 1 to 3650");
    }
}

impl Inventory {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.require(self.low_stock >= 0, "inventory.low_stock: must not be negative");
        faults.require(self.request_days >= 0, "inventory.request_days: must not be negative; 0 keeps for ever");
    }
}
