//! Paystack: a client for its transactions, refunds and disputes, the wire types,
//! webhook signatures and, with the feature `sandbox`, a server that stands in for it.
//!
//! Every amount is an `i64` in the currency's subunit (kobo, pesewa, cent):
//! ₦1,250.00 is `125_000`. Paystack multiplies by 100 for every currency, XOF
//! included (Paystack API reference, "Supported currency").

mod bank;
mod client;
mod dispute;
mod error;
mod fields;
mod reference;
mod refund;
mod request;
mod transaction;
pub mod webhook;

#[cfg(feature = "sandbox")]
pub mod sandbox;

pub use bank::{BANK_CURRENCIES, Bank, ListBanks};
pub use client::{BreakerState, Client, ClientConfig, DEFAULT_BASE_URL};
pub use dispute::{Dispute, DisputeStatus, ListDisputes, Resolution, ResolveDispute};
pub use error::Error;
pub use reference::{InvalidReference, Reference};
pub use refund::{CreateRefund, ListRefunds, Refund, RefundAccount, RefundEvent, RefundStatus};
pub use request::{InitializeTransaction, InitializedTransaction, ListTransactions, Metadata, Page};
pub use transaction::{Authorization, Customer, Domain, Transaction, TransactionStatus};
