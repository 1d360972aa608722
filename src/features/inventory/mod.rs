//! Stock: what is on hand, what is set aside for unpaid orders, and the ledger of every change.
//!
//! For every variant, `available = on_hand - reserved`. The database refuses negative values and more reserved than
//! on hand, and each change writes its movement in the same statement, so that level = sum of movements.

mod store;

pub use store::{
    Level, NewLevel, commit_reservations, extend_reservations, ledger_faults, lock_levels_of,
    orders_with_expired_reservations, products_of_order, receive, release_expired, release_reservations,
    take_for_late_payment,
};
