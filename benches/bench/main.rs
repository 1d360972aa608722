//! `make bench`: how near AGAPE comes to what its parts can do on this machine.
//!
//! Every row is a ratio of two things that were measured by turns in the same minute, by a load generator that costs
//! the same for both: absolute figures of a shared machine say little, the ratio stays. Everything runs on loopback,
//! on a durable PostgreSQL of its own under /tmp, and is gone afterwards.
#![expect(clippy::float_arithmetic, reason = "rates and ratios are not money")]

mod catalogue;
mod hot;
mod load;
mod logins;
mod pgbench;
mod process;
mod seed;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use private_postgres::{Options, PrivatePostgres};

use self::load::Load;
use self::pgbench::Pgbench;
use self::process::Server;

// The hello server is the same kind of process as agape.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures AGAPE beside what it is made of.
#[derive(Debug, Parser)]
#[command(name = "make bench ARGS=", no_binary_name = false)]
struct Args {
    /// How long each side of a row is loaded in each round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often the two sides take turns; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Connections that are busy all the time, on either side.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,
    /// Sizes of the catalogue whose lists and searches are measured, ascending.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    products: Vec<u64>,
    /// Another agape to measure, for a comparison.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_agape"))]
    binary: PathBuf,
    /// Be the bare server; the port is printed.
    #[arg(long, hide = true)]
    hello: bool,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the table.
struct Row {
    name: &'static str,
    ours: f64,
    beside: f64,
    /// Processor time of the two servers for one request, in microseconds, where it can be known.
    cpu: Option<(f64, Option<f64>)>,
    yardstick: &'static str,
    target: &'static str,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.hello {
        return process::serve_hello();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // PostgreSQL's own user must get through, and the path of its socket must stay short.
    let directory = tempfile::Builder::new()
        .prefix("agape-bench-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in("/tmp")?;
    let (starts, seconds) = (start_times(&args, directory.path())?, Duration::from_secs(args.seconds));

    let mut options = Options::new(directory.path().join("load"));
    options.bin_dir = std::env::var_os("PG_BIN").map(PathBuf::from);
    options.search_path = std::env::var_os("PATH");
    let postgres = PrivatePostgres::start(&options)?;
    let url = runtime.block_on(seed::database(&postgres.url("postgres"), &args.binary, directory.path()))?;
    let pgbench = Pgbench::new(postgres.bin_dir(), &url, directory.path(), args.clients, args.seconds)?;
    // A plan that was made for empty tables reads them from end to end when they have grown, until PostgreSQL has
    // looked at them again. A shop has orders, and so has this one.
    pgbench.place()?;
    runtime.block_on(seed::look_at_tables(&url))?;
    let load = |target: &Server, requests: &load::Requests| -> anyhow::Result<Measured> {
        let before = target.cpu_time();
        let rate = runtime.block_on(Load { address: target.address, clients: args.clients, seconds }.run(requests))?;
        let cpu = target
            .cpu_time()
            .zip(before)
            .map(|(after, before)| (after.saturating_sub(before)).as_secs_f64() * 1e6 / (rate * seconds.as_secs_f64()));
        Ok(Measured { rate, cpu })
    };

    let shop = Server::agape(&args.binary, &directory.path().join("shop"), &url, &[])?;
    let hello = Server::hello()?;
    let cached = by_turns(&args, || load(&shop, &load::Requests::Product), || load(&hello, &load::Requests::Hello))?;
    drop(hello);
    let hello_rate = cached.1.rate;
    let placed = by_turns(&args, || load(&shop, &load::Requests::Order), || pgbench.place())?;
    let memory = shop.resident_kib();
    shop.stop()?;
    let reservations = hot::measure(&args, &runtime, directory.path(), &url, &pgbench)?;

    let off = [("AGAPE_CACHE__PRODUCTS", "0")];
    let shop = Server::agape(&args.binary, &directory.path().join("shop"), &url, &off)?;
    let uncached = by_turns(&args, || load(&shop, &load::Requests::Product), || pgbench.find())?;
    shop.stop()?;
    let logins = logins::measure(&args, &runtime, &directory.path().join("shop"), &url)?;
    let imported = catalogue::import(&args, directory.path(), &postgres.url("postgres"), &runtime)?;
    let log = directory.path().join("load/postgres.log");
    let mut sizes = Vec::new();
    for products in &args.products {
        let lines = catalogue::measure(&args, &runtime, directory.path(), &url, &log, &pgbench, *products)?;
        sizes.push((*products, lines));
    }
    postgres.stop()?;

    let row = |name, (ours, beside): (Measured, Measured), yardstick, target| Row {
        name,
        ours: ours.rate,
        beside: beside.rate,
        cpu: ours.cpu.map(|cpu| (cpu, beside.cpu)),
        yardstick,
        target,
    };
    print_table(&[
        row("product, cached", cached, "hello-JSON server", "0.80"),
        row("product, uncached", uncached, "pgbench, same SQL", "0.50"),
        row("order placed", placed, "pgbench, same SQL", "0.65"),
    ]);
    println!(
        "\n{} connections, {} rounds by turns of {} s a side, medians; PostgreSQL with fsync; {} cores.",
        args.clients,
        args.rounds,
        args.seconds,
        std::thread::available_parallelism().map_or(1, usize::from),
    );
    println!("Orders have two lines of {} variants; their mails wait until the load is over.", seed::VARIANTS);
    println!(
        "start to ready   {} ms on an existing private database (median of {:?} ms; target 150)",
        median(&starts),
        starts
    );
    match memory {
        Some(kib) => {
            println!("resident memory  {:.1} MB after the cached and the order load (target 80)", kib as f64 / 1024.0)
        }
        None => println!("resident memory  unknown on this system"),
    }
    hot::print(&reservations);
    logins.print();
    println!("{imported}");
    println!("\n{:<28} {:>9} {:>9} {:>6} {:>9}", "catalogue", "agape/s", "pgbench/s", "ratio", "of hello");
    for (products, lines) in &sizes {
        for line in lines {
            println!(
                "{:<28} {:>9.0} {:>9.0} {:>6.2} {:>9.3}",
                format!("{}, {products} products", line.name),
                line.ours.rate,
                line.beside.rate,
                line.ours.rate / line.beside.rate,
                line.ours.rate / hello_rate,
            );
        }
    }
    println!("Beside: pgbench with the statements that agape sends for the same request, taken from PostgreSQL's log.");
    Ok(())
}

/// A rate a second, and the processor time of the server for one request.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    cpu: Option<f64>,
}

/// Measures both sides by turns, after a turn that does not count. Gives the medians.
fn by_turns(
    args: &Args,
    mut ours: impl FnMut() -> anyhow::Result<Measured>,
    mut beside: impl FnMut() -> anyhow::Result<Measured>,
) -> anyhow::Result<(Measured, Measured)> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let (l, r) = (ours()?, beside()?);
        if round > 0 {
            eprintln!("  {:>10.0} {:>10.0}", l.rate, r.rate);
            left.push(l);
            right.push(r);
        }
    }
    let middle = |mut all: Vec<Measured>| {
        all.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        all.get(all.len() / 2).copied().context("no round")
    };
    Ok((middle(left)?, middle(right)?))
}

/// Milliseconds from the start of the process to the first "ready", on a private database that exists.
fn start_times(args: &Args, directory: &std::path::Path) -> anyhow::Result<Vec<u128>> {
    let data_dir = directory.join("start");
    // The first start makes the database, its demo shop and the keys.
    Server::agape(&args.binary, &data_dir, "", &[])?.stop()?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let server = Server::agape(&args.binary, &data_dir, "", &[])?;
        times.push(server.ready_after.as_millis());
        server.stop()?;
    }
    times.sort_unstable();
    Ok(times)
}

fn median(sorted: &[u128]) -> u128 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:<18} {:>9} {:>9}  {:<18} {:>6} {:>7}   {:>9} {:>9}",
        "", "agape/s", "beside/s", "", "ratio", "target", "agape µs", "beside µs"
    );
    for row in rows {
        let cpu = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
        println!(
            "{:<18} {:>9.0} {:>9.0}  {:<18} {:>6.2} {:>7}   {:>9} {:>9}",
            row.name,
            row.ours,
            row.beside,
            row.yardstick,
            row.ours / row.beside,
            row.target,
            cpu(row.cpu.map(|cpu| cpu.0)),
            cpu(row.cpu.and_then(|cpu| cpu.1)),
        );
    }
    println!("µs: processor time of the server's process for one request, PostgreSQL's not counted.");
}
