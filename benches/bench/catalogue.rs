//! A catalogue of many products: lists, one product, searches, and the import of a large file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::runtime::Runtime;

use crate::load::{Load, Requests};
use crate::pgbench::Pgbench;
use crate::process::Server;
use crate::{Args, Measured, by_turns};

/// Variants of the file that is imported, five for each product.
const IMPORTED: u64 = 100_000;

/// One kind of request on a catalogue of some size.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) ours: Measured,
    pub(crate) beside: Measured,
}

/// Fills the shop up to `products` and measures it.
pub(crate) fn measure(
    args: &Args,
    runtime: &Runtime,
    directory: &Path,
    url: &str,
    log: &Path,
    pgbench: &Pgbench,
    products: u64,
) -> anyhow::Result<Vec<Line>> {
    runtime.block_on(fill(url, products))?;
    let data_dir = directory.join("shop");
    let first = "/api/v1/products?limit=20";
    let deep = {
        let shop = Server::agape(&args.binary, &data_dir, url, &[])?;
        let found = format!("{first}&sortBy=price&cursor={}", cursor_in_the_middle(runtime, url)?);
        shop.stop()?;
        found
    };
    let search = "/api/v1/products/search?q=royal%20kente";
    let mut lines = Vec::new();
    for (name, path) in [("list", first), ("list, deep", deep.as_str()), ("search", search)] {
        let statements = captured(args, runtime, &data_dir, url, log, path)?;
        let script = directory.join("captured.sql");
        std::fs::write(&script, statements.join(";\n") + ";\n")?;
        let requests = Requests::Path(String::leak(path.to_owned()));
        let asked_anew: &[(&str, &str)] = &[("AGAPE_CACHE__LIST_BYTES", "0")];
        for (kept, settings) in [("", asked_anew), (", kept", &[])] {
            let shop = Server::agape(&args.binary, &data_dir, url, settings)?;
            let load =
                Load { address: shop.address, clients: args.clients, seconds: Duration::from_secs(args.seconds) };
            let (ours, beside) = by_turns(
                args,
                || Ok(Measured { rate: runtime.block_on(load.run(&requests))?, cpu: None }),
                || pgbench.script(&script),
            )?;
            shop.stop()?;
            lines.push(Line { name: format!("{name}{kept}"), ours, beside });
        }
    }
    let off = [("AGAPE_CACHE__PRODUCTS", "0")];
    let shop = Server::agape(&args.binary, &data_dir, url, &off)?;
    let load = Load { address: shop.address, clients: args.clients, seconds: Duration::from_secs(args.seconds) };
    let (ours, beside) = by_turns(
        args,
        || Ok(Measured { rate: runtime.block_on(load.run(&Requests::Product))?, cpu: None }),
        || pgbench.find(),
    )?;
    shop.stop()?;
    lines.push(Line { name: "product".to_owned(), ours, beside });
    Ok(lines)
}

/// Adds products until there are so many, each with two variants and a picture, and has the planner look at them.
async fn fill(url: &str, products: u64) -> anyhow::Result<()> {
    let mut shop = url.parse::<PgConnectOptions>()?.connect().await?;
    let there: i64 = sqlx::query_scalar("select count(*) from products").fetch_one(&mut shop).await?;
    let mut next = u64::try_from(there)? + 1;
    while next <= products {
        let last = (next + 49_999).min(products);
        eprintln!("  products {next} to {last}");
        let sql =
            include_str!("catalogue.sql").replace(":first", &next.to_string()).replace(":last", &last.to_string());
        shop.execute(AssertSqlSafe(sql)).await?;
        next = last + 1;
    }
    shop.execute("vacuum analyze").await?;
    shop.close().await?;
    Ok(())
}

/// The cursor of the product in the middle of the list by price, as the API gives it.
fn cursor_in_the_middle(runtime: &Runtime, url: &str) -> anyhow::Result<String> {
    use base64::Engine;
    let (price, id): (i64, String) = runtime.block_on(async {
        let mut shop = url.parse::<PgConnectOptions>()?.connect().await?;
        let sql = "select price_minor, replace(id::text, '-', '') from products
                   where price_minor >= (select percentile_disc(0.5) within group (order by price_minor) from products)
                   order by price_minor, id limit 1";
        let middle = sqlx::query_as(sql).fetch_one(&mut shop).await?;
        shop.close().await?;
        anyhow::Ok(middle)
    })?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("p{id}{price}")))
}

/// The statements that agape sends for one request, with the values it sends, taken from the log of PostgreSQL.
fn captured(
    args: &Args,
    runtime: &Runtime,
    data_dir: &Path,
    url: &str,
    log: &Path,
    path: &str,
) -> anyhow::Result<Vec<String>> {
    let set = async |setting: &'static str| -> anyhow::Result<()> {
        let mut shop = url.parse::<PgConnectOptions>()?.connect().await?;
        shop.execute(setting).await?;
        Ok(shop.close().await?)
    };
    runtime.block_on(set("alter database bench set log_statement = 'all'"))?;
    let shop = Server::agape(&args.binary, data_dir, url, &[])?;
    let before = std::fs::metadata(log)?.len();
    let status = runtime.block_on(async {
        let answer = reqwest::get(format!("http://{}{path}", shop.address)).await?;
        anyhow::Ok(answer.status())
    })?;
    shop.stop()?;
    runtime.block_on(set("alter database bench reset log_statement"))?;
    ensure!(status.is_success(), "{path} answers {status}");
    let text = std::fs::read_to_string(log)?;
    let new = text.get(usize::try_from(before)?..).context("the log was cut")?;
    let statements = statements(new);
    ensure!(!statements.is_empty(), "no statement of {path} is in the log");
    Ok(statements)
}

/// What the log says was executed about products, with the parameters put in.
fn statements(log: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once("LOG:  execute ") else { continue };
        let Some((_, first)) = rest.split_once(": ") else { continue };
        let mut sql = first.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            sql.push('\n');
            sql.push_str(more);
        }
        let mut parameters = String::new();
        if let Some(detail) = lines.next_if(|line| line.contains("DETAIL:  parameters: ")) {
            parameters = detail.split_once("parameters: ").map(|(_, values)| values.to_owned()).unwrap_or_default();
        }
        let about_products = [" products p", "product_listing", "search_words", "from variants"];
        if about_products.iter().any(|words| sql.contains(words)) && !sql.contains("river") {
            found.push(filled(&sql, &parameters));
        }
    }
    found
}

/// Puts `$1 = 'a', $2 = NULL` in the places of `$1` and `$2`.
fn filled(sql: &str, parameters: &str) -> String {
    let mut values = Vec::new();
    let mut rest = parameters;
    while let Some((_, value)) = rest.split_once(" = ") {
        let end = if value.starts_with('\'') {
            let mut end = 1;
            let bytes = value.as_bytes();
            while end < bytes.len() {
                match (bytes[end], bytes.get(end + 1)) {
                    (b'\'', Some(b'\'')) => end += 2,
                    (b'\'', _) => break,
                    _ => end += 1,
                }
            }
            (end + 1).min(value.len())
        } else {
            value.find(',').unwrap_or(value.len())
        };
        values.push(&value[..end]);
        rest = &value[end..];
    }
    let mut filled = String::new();
    let mut pieces = sql.split('$');
    filled.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (number, after) = piece.split_at(digits);
        match number.parse::<usize>().ok().and_then(|n| values.get(n.checked_sub(1)?)) {
            Some(value) => filled.push_str(value),
            None => {
                filled.push('$');
                filled.push_str(number);
            }
        }
        filled.push_str(after);
    }
    without_colons(&filled.replace('\n', " "))
}

/// pgbench takes colons before names for its variables, in quotes too.
fn without_colons(sql: &str) -> String {
    let mut pieces = sql.split('\'');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    // Every other piece is within quotes; a quote within them is two, with nothing between.
    while let Some(literal) = pieces.next() {
        let mut literal = literal.to_owned();
        let mut after = pieces.next().unwrap_or_default();
        while after.is_empty()
            && let Some(more) = pieces.next()
        {
            literal = format!("{literal}''{more}");
            after = pieces.next().unwrap_or_default();
        }
        if literal.contains(':') {
            literal = literal.replace('\\', r"\\").replace(':', r"\x3a");
            plain.push('E');
        }
        plain = format!("{plain}'{literal}'{after}");
    }
    plain
}

/// How long the import of a large file takes, and the most memory that it uses.
pub(crate) fn import(args: &Args, directory: &Path, server: &str, runtime: &Runtime) -> anyhow::Result<String> {
    let file = directory.join("import.csv");
    write_file(&file)?;
    runtime.block_on(async {
        let mut admin = server.parse::<PgConnectOptions>()?.connect().await?;
        admin.execute("create database imported").await?;
        anyhow::Ok(admin.close().await?)
    })?;
    let url = server.replacen("/postgres?", "/imported?", 1);
    let mut told = String::new();
    for run in ["first", "again"] {
        let started = Instant::now();
        let mut child = Command::new(&args.binary)
            .args(["import", "products"])
            .arg(&file)
            .env("DATABASE_URL", &url)
            .env("AGAPE_DATA_DIR", directory.join("import"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut peak = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak = peak.max(peak_kib(child.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(20));
        };
        ensure!(status.success(), "the import ended with {status}");
        let took = started.elapsed().as_secs_f64();
        write!(
            told,
            "{}{run} {took:.1} s, {:.0} MB at most",
            if told.is_empty() { "" } else { "; " },
            peak as f64 / 1024.0
        )?;
    }
    Ok(format!("import of {IMPORTED} variants in {} products: {told}", IMPORTED / 5))
}

fn write_file(path: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(
        file,
        "Handle,Title,Body (HTML),Vendor,Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty"
    )?;
    for product in 0..IMPORTED / 5 {
        for (n, size) in ["S", "M", "L", "XL", "XXL"].into_iter().enumerate() {
            let head = if n == 0 {
                format!(
                    "Cloth {product},<p>Handwoven in narrow strips and sewn by the yard.</p>,Bonwire,Kente,\"kente, handwoven\",Size"
                )
            } else {
                ",,,,,".to_owned()
            };
            writeln!(file, "cloth-{product},{head},{size},C{product}-{size},{},{n}", 1_000 + product % 500)?;
        }
    }
    Ok(file.flush()?)
}

/// The most memory that a process has used so far.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().split(' ').next()?.parse().ok()
}
