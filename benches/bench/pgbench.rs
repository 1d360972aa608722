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

/// pgbench on one database.
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

    /// One order, with the settings of the server's connections for orders.
    pub(crate) fn place(&self) -> anyhow::Result<Measured> {
        self.run(&self.place, "-c plan_cache_mode=force_generic_plan")
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
const CONSTANTS: [&str; 13] = [
    "false=false",
    "none={}",
    "names={Gold,Green}",
    "images={/media/product-1-0.png,/media/product-2-0.png}",
    "prices={4500000,4500000}",
    "quantities={1,1}",
    "taxes={337500,337500}",
    "zero=0",
    "subtotal=9000000",
    "shipping=250000",
    "tax=675000",
    "total=9925000",
    r#"job={"order_id":"00000000-0000-7000-8000-000000000000","mail":"confirmation"}"#,
];

fn find_script() -> anyhow::Result<String> {
    let sql = with_values(FIND, &[":null::uuid", "('product-' || :n::text)", ":false::bool"])?;
    Ok(format!("\\set n random(1, {})\n{sql};\n", seed::PRODUCTS))
}

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
    let place = with_values(
        PLACE,
        &[
            // 1 to 11: the lines.
            "array[gen_random_uuid(), gen_random_uuid()]",
            &ids(seed::PRODUCT_ID, "p1", "p2"),
            &variants,
            "('{SKU-V' || :v1::text || ',SKU-V' || :v2::text || '}')::text[]",
            "('{Product ' || :p1::text || ',Product ' || :p2::text || '}')::text[]",
            ":names::text[]",
            ":images::text[]",
            ":prices::bigint[]",
            ":quantities::int[]",
            ":prices::bigint[]",
            ":taxes::bigint[]",
            "now()",
            // No cart.
            ":null::uuid",
            ":null::int",
            // 15: the order.
            "gen_random_uuid()",
            ":null::uuid",
            "'ama@example.com'::text",
            "'pending_payment'::text",
            "'NGN'::text",
            ":subtotal::bigint",
            ":zero::bigint",
            ":shipping::bigint",
            ":tax::bigint",
            ":total::bigint",
            ":address::jsonb",
            "'standard'::text",
            "'card'::text",
            ":null::text",
            "now() + interval '30 minutes'",
            "now() + interval '15 minutes'",
            // 31: its job.
            "'order_mail'::text",
            ":job::jsonb",
            "3::smallint",
        ],
    )?;
    Ok(format!(
        "\\set v1 random(1, {half})\n\\set v2 random({}, {})\n\\set p1 (:v1 - 1) / 3 + 1\n\\set p2 (:v2 - 1) / 3 + 1\n\
         {offers};\n{place};\n",
        half + 1,
        seed::VARIANTS,
    ))
}

/// Puts the values in the places of `$1`, `$2` …
fn with_values(sql: &str, values: &[&str]) -> anyhow::Result<String> {
    let mut pieces = sql.split('$');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (number, rest) = piece.split_at(digits);
        let value = number.parse::<usize>().ok().and_then(|n| values.get(n.checked_sub(1)?));
        filled.push_str(value.with_context(|| format!("no value for ${number}; the statement has changed"))?);
        filled.push_str(rest);
    }
    Ok(filled)
}
