//! Many buyers: of one variant, each order by itself and written together, and of different ones.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::load::{Load, Requests};
use crate::pgbench::Pgbench;
use crate::process::Server;
use crate::{Args, Measured, by_turns};

/// Buyers at once.
const CLIENTS: u64 = 64;
/// Orders of one statement of pgbench: with half of the buyers answered while the other half is written, as many as agape
/// writes together.
const TOGETHER: u64 = CLIENTS / 2;

/// A kind of load, with what agape and pgbench do a second.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) ours: Measured,
    pub(crate) beside: Measured,
    pub(crate) yardstick: String,
}

/// Measures reservations, which are orders that are placed.
pub(crate) fn measure(
    args: &Args,
    runtime: &Runtime,
    directory: &Path,
    url: &str,
    pgbench: &Pgbench,
) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (name, batch, requests) in [
        ("one variant, plain", "1", Requests::HotOrder),
        ("one variant, together", "256", Requests::HotOrder),
        ("two of 3,000 variants", "256", Requests::Order),
    ] {
        let shop = Server::agape(&args.binary, &directory.join("shop"), url, &[("AGAPE_ORDERS__BATCH", batch)])?;
        let load = Load { address: shop.address, clients: CLIENTS, seconds: Duration::from_secs(args.seconds) };
        let (yardstick, beside): (_, Box<dyn FnMut() -> anyhow::Result<Measured>>) = match (requests, batch) {
            (Requests::HotOrder, "1") => {
                (format!("{CLIENTS} clients, 1 order each"), Box::new(|| pgbench.place_hot(1, CLIENTS)))
            }
            (Requests::HotOrder, _) => {
                (format!("2 clients, {TOGETHER} orders each"), Box::new(|| pgbench.place_hot(TOGETHER, 2)))
            }
            _ => (format!("{CLIENTS} clients, 1 order each"), Box::new(|| pgbench.place_by(CLIENTS))),
        };
        let ours = || Ok(Measured { rate: runtime.block_on(load.run(&requests))?, cpu: None });
        let (ours, beside) = by_turns(args, ours, beside)?;
        shop.stop()?;
        lines.push(Line { name, ours, beside, yardstick });
    }
    Ok(lines)
}

pub(crate) fn print(lines: &[Line]) {
    println!("\n{:<24} {:>9} {:>9} {:>6}   pgbench: same statements", "reservations", "agape/s", "pgbench/s", "ratio");
    for line in lines {
        println!(
            "{:<24} {:>9.0} {:>9.0} {:>6.2}   {}",
            line.name,
            line.ours.rate,
            line.beside.rate,
            line.ours.rate / line.beside.rate,
            line.yardstick
        );
    }
}
