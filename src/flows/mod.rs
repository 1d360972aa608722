//! Use cases that join several domains, one file each. Each is one transaction.

pub mod bring_cart;
pub mod cancel;
pub mod erase;
pub mod expire;
pub mod export;
pub mod fetch_images;
pub mod move_to_cart;
pub mod order_mail;
pub mod place;
pub mod popularity;
pub mod quote;
pub mod remind_carts;
pub mod retention;
pub mod settle;
pub mod start_payment;
pub mod stock_watch;
