//! Use cases that join several domains, one file each. Each is one transaction.

pub mod bring_cart;
pub mod cancel;
pub mod deliver_webhooks;
pub mod erase;
pub mod expire;
pub mod export;
pub mod fetch_images;
pub mod fulfil;
pub mod move_to_cart;
pub mod order_mail;
pub mod place;
pub mod popularity;
pub mod preview_coupon;
pub mod quote;
pub mod rates;
pub mod remind_carts;
pub mod reorder;
pub mod resend;
pub mod retention;
pub mod send_back;
pub mod settle;
pub mod start_payment;
pub mod stock_watch;
