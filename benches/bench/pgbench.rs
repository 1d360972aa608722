//! The yardstick of the database: pgbench with the very statements that agape sends.
//!
//! The texts come from the files that the server is compiled from. What the server sends as parameters is a
//! parameter here too, so far as pgbench can make one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{Measured, seed};

const FIND: &str = include_str!("../../src/features/catalog/find.sql");
const OFFERS: &str = include_str!("../../src/flows/place/offers.sql");
const PLACE: &str = include_str!("../../src/flows/place/insert.sql");

/// The settings of the server's connections for orders.
const HOT_OPTIONS: &str = "-c plan_cache_mode=force_generic_plan";

/// pgbench on one database.
#[derive(Clone)]
pub(crate) struct Pgbench {
    program: PathBuf,
    url: String,
    clients: u64,
    seconds: u64,
    find: PathBuf,
    place: PathBuf,
}

impl Pgbench {
    pub(crate) fn new(bin_dir: &Path, url: &str, directory: &Path, clients: u64, seconds: u64) -> anyhow::Result<Self> {
        let beside = bin_dir.join("pgbench");
        let program = if beside.exists() { beside } else { PathBuf::from("pgbench") };
        let (find, place) = (directory.join("find.sql"), directory.join("place.sql"));
        std::fs::write(&find, find_script()?)?;
        std::fs::write(&place, place_script()?)?;
        Ok(Self { program, url: url.to_owned(), clients, seconds, find, place })
    }

    /// One product by its slug, as the server reads it.
    pub(crate) fn find(&self) -> anyhow::Result<Measured> {
        self.run(&self.find, "")
    }

    /// One order of two variants.
    pub(crate) fn place(&self) -> anyhow::Result<Measured> {
        self.run(&self.place, HOT_OPTIONS)
    }

    /// So many orders of the same variant in one statement, by so many clients. The rate is of orders.
    pub(crate) fn place_hot(&self, orders: u64, clients: u64) -> anyhow::Result<Measured> {
        let script = self.place.with_file_name("place_hot.sql");
        std::fs::write(&script, place_hot_script(orders)?)?;
        let alone = Self { clients, ..self.clone() };
        let statements = alone.run(&script, HOT_OPTIONS)?;
        Ok(Measured { rate: statements.rate * orders as f64, cpu: None })
    }

    /// As [`Self::place`], by so many clients.
    pub(crate) fn place_by(&self, clients: u64) -> anyhow::Result<Measured> {
        Self { clients, ..self.clone() }.place()
    }

    /// Any script.
    pub(crate) fn script(&self, script: &Path) -> anyhow::Result<Measured> {
        self.run(script, "")
    }

    fn run(&self, script: &Path, options: &str) -> anyhow::Result<Measured> {
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .arg(format!("--client={}", self.clients))
            .arg(format!("--time={}", self.seconds))
            .arg("--file")
            .arg(script)
            .args(CONSTANTS.iter().flat_map(|constant| ["--define", constant]))
            .arg(format!("--define=address={}", seed::ADDRESS))
            .arg(&self.url)
            .env("PGOPTIONS", options)
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "pgbench failed: {}{text}", String::from_utf8_lossy(&output.stderr));
        let rate = text
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .with_context(|| format!("pgbench told no rate: {text}"))?;
        Ok(Measured { rate, cpu: None })
    }
}

/// What is the same in every order. pgbench sends its variables as parameters; one without a value is null.
const CONSTANTS: [&str; 17] = [
    "false=false",
    "none={}",
    "names={Gold,Green}",
    "images={/media/product-1-0.png,/media/product-2-0.png}",
    "prices={4500000,4500000}",
    "ones={1,1}",
    "positions={1,2}",
    "taxes={337500,337500}",
    "nothings={0,0}",
    "zero=0",
    "price=4500000",
    "subtotal=9000000",
    "shipping=250000",
    "tax=675000",
    "total=9925000",
    r#"vat=[{"name":"VAT","rateBasisPoints":750,"included":false,"amountMinor":675000}]"#,
    r#"job={"order_id":"00000000-0000-7000-8000-000000000000","mail":"confirmation"}"#,
];

fn find_script() -> anyhow::Result<String> {
    let sql = with_values(FIND, &[":null::uuid", "('product-' || :n::text)", ":false::bool"])?;
    Ok(format!("\\set n random(1, {})\n{sql};\n", seed::PRODUCTS))
}

/// One order of two variants, as the server reads and writes it.
fn place_script() -> anyhow::Result<String> {
    let half = seed::VARIANTS / 2;
    // Arrays are made from texts, so that the planner knows as little of their length as of a parameter's.
    let ids = |start: &str, one: &str, two: &str| {
        format!(
            "('{{{start}' || lpad(:{one}::text, 12, '0') || ',{start}' || lpad(:{two}::text, 12, '0') || '}}')::uuid[]"
        )
    };
    let variants = ids(seed::VARIANT_ID, "v1", "v2");
    let offers = with_values(OFFERS, &[&variants, ":none::uuid[]"])?;
    let lines = [
        ":ones::int[]",
        "array[gen_random_uuid(), gen_random_uuid()]",
        &ids(seed::PRODUCT_ID, "p1", "p2"),
        &variants,
        "('{SKU-V' || :v1::text || ',SKU-V' || :v2::text || '}')::text[]",
        "('{Product ' || :p1::text || ',Product ' || :p2::text || '}')::text[]",
        ":names::text[]",
        ":images::text[]",
        ":prices::bigint[]",
        ":ones::int[]",
        ":prices::bigint[]",
        ":taxes::bigint[]",
        ":positions::int[]",
        ":nothings::bigint[]",
        ":nothings::bigint[]",
    ];
    let place = with_values(PLACE, &values(&lines, 1))?;
    Ok(format!(
        "\\set v1 random(1, {half})\n\\set v2 random({}, {})\n\\set p1 (:v1 - 1) / 3 + 1\n\\set p2 (:v2 - 1) / 3 + 1\n\
         {offers};\n{place};\n",
        half + 1,
        seed::VARIANTS,
    ))
}

/// So many orders of one piece of the same variant in one statement.
fn place_hot_script(orders: u64) -> anyhow::Result<String> {
    let variant = format!("'{}{:012}'::uuid", seed::VARIANT_ID, seed::HOT);
    let product = format!("'{}{:012}'::uuid", seed::PRODUCT_ID, 1);
    let offers = with_values(OFFERS, &[&filled_array(&variant, 1), ":none::uuid[]"])?;
    let same = |value: &str| filled_array(value, orders);
    let lines = [
        format!("array(select generate_series(1, {orders}))"),
        format!("array(select gen_random_uuid() from generate_series(1, {orders}))"),
        same(&product),
        same(&variant),
        same("'SKU-V1'::text"),
        same("'Product 1'::text"),
        same("'Green'::text"),
        same("'/media/product-1-0.png'::text"),
        same(":price::bigint"),
        same("1"),
        same(":price::bigint"),
        same(":zero::bigint"),
        same("1"),
        same(":zero::bigint"),
        same(":zero::bigint"),
    ];
    let place = with_values(PLACE, &values(&lines, orders))?;
    Ok(format!("{offers};\n{place};\n"))
}

/// The values of the statement that places so many orders with these lines.
fn values(lines: &[impl AsRef<str>], orders: u64) -> Vec<String> {
    let same = |value: &str| filled_array(value, orders);
    let mut values: Vec<String> = lines.iter().map(|line| line.as_ref().to_owned()).collect();
    values.push(format!("array(select gen_random_uuid() from generate_series(1, {orders}))"));
    values.extend(
        [
            // No account and no cart.
            ":null::uuid",
            ":null::uuid",
            ":null::int",
            "'ama@example.com'::text",
            "'NGN'::text",
            ":subtotal::bigint",
            ":zero::bigint",
            ":shipping::bigint",
            ":tax::bigint",
            ":total::bigint",
            ":zero::bigint",
            ":vat::jsonb",
            ":null::text",
            ":address::jsonb",
            "'standard'::text",
            "'Standard (5–7 days)'::text",
            "'paystack'::text",
            ":null::text",
            "now() + interval '30 minutes'",
            "now() + interval '15 minutes'",
            ":job::jsonb",
        ]
        .map(same),
    );
    values.extend(["now()", "'pending_payment'::text", "'order_mail'::text", "3::smallint"].map(str::to_owned));
    values.push("(select version from rates_version)".to_owned());
    values
}

fn filled_array(value: &str, length: u64) -> String {
    format!("array_fill({value}, array[{length}])")
}

/// Puts the values in the places of `$1`, `$2` …
fn with_values(sql: &str, values: &[impl AsRef<str>]) -> anyhow::Result<String> {
    let mut pieces = sql.split('$');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (number, rest) = piece.split_at(digits);
        let value = number.parse::<usize>().ok().and_then(|n| values.get(n.checked_sub(1)?));
        filled.push_str(value.with_context(|| format!("no value for ${number}; the statement has changed"))?.as_ref());
        filled.push_str(rest);
    }
    Ok(filled)
}
