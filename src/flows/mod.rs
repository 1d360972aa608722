//! Use cases that join several domains, one file each. Each is one transaction.

pub mod cancel;
pub mod expire;
pub mod order_mail;
pub mod place;
pub mod quote;
pub mod settle;
pub mod start_payment;
