//! The shop's domains, one folder each. They do not import each other's insides; `crate::flows` joins them.

pub mod addresses;
pub mod audit;
pub mod auth;
pub mod carts;
pub mod catalog;
pub mod coupons;
pub mod disputes;
pub mod events;
pub mod inventory;
pub mod invoices;
pub mod media;
pub mod merchant_webhooks;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod privacy;
pub mod reconciliation;
pub mod shipping;
pub mod taxes;
pub mod webhooks;
pub mod wishlists;
