//! The shop that is loaded. Its ids are made of numbers, so that pgbench can make them too.

use std::path::Path;

use anyhow::ensure;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

/// Products named `product-1`, `product-2` …
pub(crate) const PRODUCTS: u64 = 1_000;
/// Three for each product, one after the other.
pub(crate) const VARIANTS: u64 = 3 * PRODUCTS;
/// The variant that everybody wants, in the load of one variant.
pub(crate) const HOT: u64 = 1;
/// What the last twelve digits of an id follow.
pub(crate) const PRODUCT_ID: &str = "00000000-0000-7000-8000-";
pub(crate) const VARIANT_ID: &str = "00000000-0000-7000-9000-";

/// The body of an order of two variants.
pub(crate) fn order(first: u64, second: u64) -> String {
    format!(
        r#"{{"items":[{{"variantId":"{VARIANT_ID}{first:012}","quantity":1}},{{"variantId":"{VARIANT_ID}{second:012}","quantity":1}}],"email":"ama@example.com","shippingAddress":{ADDRESS}}}"#
    )
}

/// The body of an order of one piece of the variant that everybody wants.
pub(crate) fn hot_order() -> String {
    format!(
        r#"{{"items":[{{"variantId":"{VARIANT_ID}{HOT:012}","quantity":1}}],"email":"ama@example.com","shippingAddress":{ADDRESS}}}"#
    )
}

/// The body of a registration or a login.
pub(crate) fn account(name: &str, password: &str, new: bool) -> String {
    let person = if new { r#","name":"Ama Mensah""# } else { "" };
    format!(r#"{{"email":"{name}@example.com","password":"{password}"{person}}}"#)
}

/// Where all orders go.
pub(crate) const ADDRESS: &str = r#"{"firstName":"Ama","lastName":"Mensah","phone":"+2348031234567","addressLine1":"1 Broad Street","city":"Lagos","region":"Lagos","country":"NG"}"#;

/// Makes and fills a database. Gives its address.
pub(crate) async fn database(server: &str, binary: &Path, directory: &Path) -> anyhow::Result<String> {
    let options: PgConnectOptions = server.parse()?;
    let mut admin = options.clone().connect().await?;
    admin.execute("create database bench").await?;
    admin.close().await?;
    let url = server.replacen("/postgres?", "/bench?", 1);
    let status = std::process::Command::new(binary)
        .args(["migrate", "up"])
        .env("DATABASE_URL", &url)
        .env("AGAPE_DATA_DIR", directory.join("shop"))
        .stdout(std::process::Stdio::null())
        .status()?;
    ensure!(status.success(), "the migration ended with {status}");
    let mut shop = options.database("bench").connect().await?;
    shop.execute(include_str!("seed.sql")).await?;
    shop.close().await?;
    Ok(url)
}

/// Has the planner learn how large the tables are.
pub(crate) async fn look_at_tables(url: &str) -> anyhow::Result<()> {
    let mut shop = url.parse::<PgConnectOptions>()?.connect().await?;
    shop.execute("vacuum analyze").await?;
    shop.close().await?;
    Ok(())
}
