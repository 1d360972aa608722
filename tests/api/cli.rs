//! The command line, as the real program.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::TestDatabase;

/// The program with an empty environment but for `env`, in a folder of its own. It must end by itself.
async fn agape(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agape"));
    command.args(arguments).current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(30), command.output()).await.expect("it does not end").unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn expect_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", stdout(output), stderr(output));
}

/// Production on defaults does not start: everything that is missing is listed at once.
#[tokio::test]
async fn production_does_not_start_on_defaults() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["serve"][..], &["migrate", "up"], &["config"]] {
        let output = agape(folder.path(), command, &[("AGAPE_ENV", "production")]).await;
        expect_code(&output, 2);
        let text = stderr(&output);
        for key in ["server.public_url", "database.url", "auth.private_key_file", "payments.provider", "mail.provider"]
        {
            assert!(text.contains(&format!("  - {key}: ")), "{key} is missing in {text}");
        }
        assert!(text.contains("DATABASE_URL") && text.contains("AGAPE_MAIL__PROVIDER"), "{text}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Misspelt settings are told, all at once, and so are values of a wrong type.
#[tokio::test]
async fn wrong_settings_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("AGAPE_SERVER__PROT", "1"),
        ("AGAPE_SEVRER__PORT", "1"),
        ("PORT", "many"),
        ("AGAPE_STORE__DEMO_DATA", "perhaps"),
        ("AGAPE_CONFIG", "missing.toml"),
    ];
    let output = agape(folder.path(), &["serve"], &env).await;
    expect_code(&output, 2);
    let text = stderr(&output);
    for part in
        ["AGAPE_SERVER__PROT", "AGAPE_SEVRER__PORT", "PORT: must be a whole number", "true or false", "missing.toml"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let output =
        agape(folder.path(), &["serve"], &[("PORT", "70000"), ("DATABASE_URL", "mysql://u:hunter2@h/d")]).await;
    expect_code(&output, 2);
    assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
    for url in ["nonsense", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d"] {
        let output = agape(folder.path(), &["serve"], &[("DATABASE_URL", url)]).await;
        expect_code(&output, 2);
        let text = stderr(&output);
        assert!(text.contains("database.url: must be like postgres://") && !text.contains("hunter2"), "{text}");
    }
    let output = agape(folder.path(), &["sevre"], &[]).await;
    expect_code(&output, 2);
}

/// A second server beside a running one says so and touches nothing.
#[tokio::test]
async fn a_taken_port_is_told_and_nothing_touched() {
    let folder = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = agape(folder.path(), &["serve"], &[("PORT", &port)]).await;
    expect_code(&output, 1);
    let text = stderr(&output);
    assert!(text.contains(&format!("port {port} is taken")) && text.contains("server.port"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(stdout(&output), "");
}

/// A database that refuses or does not answer ends the start, with a message that names it and not the password.
#[tokio::test]
async fn an_unreachable_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens where somebody just has.
    let refusing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // This one takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = async |address: std::net::SocketAddr, command: &[&str]| {
        let url = format!("postgres://agape:hunter2@{address}/shop");
        let output = agape(folder.path(), command, &[("DATABASE_URL", &url), ("PORT", "0")]).await;
        expect_code(&output, 1);
        let text = stderr(&output);
        assert!(text.contains(&address.to_string()) && text.contains("DATABASE_URL"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    };
    let silent_address = silent.local_addr().unwrap();
    tokio::join!(
        check(refusing, &["serve"]),
        check(refusing, &["migrate", "status"]),
        check(silent_address, &["serve"]),
        check(silent_address, &["migrate", "status"]),
    );
}

/// The effective settings are shown without secrets, also where they are wrong.
#[tokio::test]
async fn config_masks_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.toml"), "[store]\nname = \"Kofi's\"\n").unwrap();
    let env = [
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("PAYSTACK_SECRET_KEY", "sk_test_hunter2"),
        ("AGAPE_PAYMENTS__PAYSTACK_PREVIOUS_SECRET_KEY", "sk_test_hunter2"),
    ];
    let output = agape(folder.path(), &["config", "--config", "shop.toml"], &env).await;
    expect_code(&output, 0);
    let text = stdout(&output);
    assert!(!text.contains("hunter2"), "{text}");
    let settings: toml::Table = text.parse().unwrap();
    assert_eq!(settings["store"]["name"].as_str(), Some("Kofi's"));
    assert_eq!(settings["database"]["url"].as_str(), Some("********"));
    let output = agape(folder.path(), &["config"], &[("DATABASE_URL", "mysql://u:hunter2@h/d")]).await;
    expect_code(&output, 2);
    assert!(!stdout(&output).contains("hunter2") && !stderr(&output).contains("hunter2"));
    assert!(stdout(&output).contains("[server]"));
}

/// Migrations run once, however many start them, and the status tells what is missing.
#[tokio::test]
async fn migrations_run_once() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let status = agape(folder.path(), &["migrate", "status"], &env).await;
    expect_code(&status, 0);
    let applied = stdout(&status).lines().count();
    assert!(applied >= 6 && !stdout(&status).contains("missing"), "{}", stdout(&status));
    for _ in 0..2 {
        expect_code(&agape(folder.path(), &["migrate", "up"], &env).await, 0);
    }
    sqlx::query("drop schema public cascade").execute(&database.pool).await.unwrap();
    sqlx::query("create schema public").execute(&database.pool).await.unwrap();
    let status = agape(folder.path(), &["migrate", "status"], &env).await;
    expect_code(&status, 1);
    assert_eq!(stdout(&status).matches("missing").count(), applied);
    let up = || agape(folder.path(), &["migrate", "up"], &env);
    let (one, two) = tokio::join!(up(), up());
    expect_code(&one, 0);
    expect_code(&two, 0);
    let status = agape(folder.path(), &["migrate", "status"], &env).await;
    expect_code(&status, 0);
    assert_eq!(stdout(&status).matches("applied").count(), applied);
}

/// The document is printed, or written where it is told to.
#[tokio::test]
async fn openapi_is_printed_or_written() {
    let folder = tempfile::tempdir().unwrap();
    let output = agape(folder.path(), &["openapi"], &[]).await;
    expect_code(&output, 0);
    assert_eq!(stdout(&output), agape::openapi::json().unwrap());
    expect_code(&agape(folder.path(), &["openapi", "--output", "api.json"], &[]).await, 0);
    assert_eq!(std::fs::read_to_string(folder.path().join("api.json")).unwrap(), stdout(&output));
    let output = agape(folder.path(), &["openapi", "--output", "missing/api.json"], &[]).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("missing/api.json cannot be written"), "{}", stderr(&output));
}

/// An import reports for people and for programs, and its exit code tells whether something was refused.
#[tokio::test]
async fn an_import_reports_and_exits_by_its_outcome() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    std::fs::write(folder.path().join("good.csv"), "Handle,Title,Variant Price\nkente,Kente,100\n").unwrap();
    std::fs::write(folder.path().join("bad.csv"), "Handle,Title,Variant Price\nlace,Lace,\nscarf,Scarf,5\n").unwrap();
    std::fs::write(folder.path().join("none.csv"), "Name,Cost\nkente,5\n").unwrap();
    let import = async |file: &str, more: &[&str]| {
        let arguments = [&["import", "products", file, "--format", "shopify"], more].concat();
        agape(folder.path(), &arguments, &env).await
    };
    let output = import("good.csv", &["--dry-run"]).await;
    expect_code(&output, 0);
    assert!(stdout(&output).contains("1 products would be created"), "{}", stdout(&output));
    assert_eq!(database.count("select count(*) from products").await, 0);
    let output = import("bad.csv", &["--json"]).await;
    expect_code(&output, 1);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["created"], &report["refused"]), (&1.into(), &1.into()));
    assert_eq!((&report["problems"][0]["row"], &report["problems"][0]["severity"]), (&2.into(), &"error".into()));
    assert_eq!(report["problems"][0]["column"], "Variant Price");
    let output = import("bad.csv", &[]).await;
    expect_code(&output, 1);
    let text = stdout(&output);
    assert!(text.contains("row 2, Variant Price: error: The variant has no price."), "{text}");
    assert!(text.contains("0 products created, 0 updated, 1 unchanged, 1 refused"), "{text}");
    let output = import("none.csv", &[]).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("none.csv") && stderr(&output).contains("lacks"), "{}", stderr(&output));
    let output = import("missing.csv", &[]).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("missing.csv cannot be opened"), "{}", stderr(&output));
    let output = agape(folder.path(), &["import", "products", "good.csv"], &env).await;
    expect_code(&output, 2);
    assert_eq!(database.count("select count(*) from products").await, 1);
}

/// An administrator is made with a password from standard input, which must be a good one.
#[tokio::test]
async fn an_administrator_needs_a_good_password() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let arguments = ["admin", "create", "--email", "Boss@Example.com", "--name", "Boss"];
    let output = agape(folder.path(), &arguments, &env).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("the password must have at least 8 characters"), "{}", stderr(&output));
    let create = async |password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agape"));
        let file = folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        command.args(arguments).current_dir(folder.path()).env_clear().envs(env);
        command.stdin(std::fs::File::open(file).unwrap()).output().await.unwrap()
    };
    expect_code(&create("Long#Password9").await, 0);
    let output = create("Long#Password9").await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("exists already"), "{}", stderr(&output));
    let admin = database.text("select email || ' ' || role from users").await;
    assert_eq!(admin.as_deref(), Some("boss@example.com admin"));
}

/// Every command explains itself.
#[tokio::test]
async fn every_command_has_help() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &[][..],
        &["serve"],
        &["migrate"],
        &["migrate", "up"],
        &["migrate", "status"],
        &["import"],
        &["import", "products"],
        &["admin"],
        &["admin", "create"],
        &["config"],
        &["openapi"],
        &["completions"],
    ] {
        let output = agape(folder.path(), &[command, &["--help"]].concat(), &[]).await;
        expect_code(&output, 0);
        assert!(stdout(&output).contains("Usage: agape"), "{command:?}: {}", stdout(&output));
    }
    let main = stdout(&agape(folder.path(), &["--help"], &[]).await);
    for command in ["serve", "migrate", "import", "admin", "config", "openapi", "completions"] {
        assert!(main.lines().any(|line| line.trim().starts_with(command)), "{command} is missing in {main}");
    }
    expect_code(&agape(folder.path(), &["--version"], &[]).await, 0);
    let script = agape(folder.path(), &["completions", "bash"], &[]).await;
    expect_code(&script, 0);
    assert!(stdout(&script).contains("_agape"));
}
