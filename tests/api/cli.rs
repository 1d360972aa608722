//! The command line, as the real program.

use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use agape::features::auth::{Role, current_code};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::auth::{me, sign_in};
use crate::support::{TestApp, TestDatabase};
use crate::two_factor;

/// The program with an empty environment but for `env`, in a folder of its own. It is killed when it is dropped.
fn command(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agape"));
    command.args(arguments).current_dir(folder).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.kill_on_drop(true);
    command
}

async fn output_of(mut command: Command) -> Output {
    tokio::time::timeout(Duration::from_secs(30), command.output()).await.expect("it does not end").unwrap()
}

/// A run of the program, which must end by itself.
async fn agape(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    output_of(command(folder, arguments, env)).await
}

/// The same with a text on standard input.
async fn agape_reading(input: &str, folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = command(folder, arguments, env);
    command.stdin(file);
    output_of(command).await
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

    // What was changed after it was applied is told by the status, and stops the next start.
    let tamper =
        "update _sqlx_migrations set checksum = '\\x00' where version = (select min(version) from _sqlx_migrations)";
    sqlx::query(tamper).execute(&database.pool).await.unwrap();
    let status = agape(folder.path(), &["migrate", "status"], &env).await;
    expect_code(&status, 1);
    assert!(stdout(&status).starts_with("changed  ") && stdout(&status).matches("applied").count() == applied - 1);
    expect_code(&agape(folder.path(), &["migrate", "up"], &env).await, 1);
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
    std::fs::write(
        folder.path().join("good.csv"),
        "Handle,Title,Variant Price,Variant Inventory Qty\nkente,Kente,100,2\n",
    )
    .unwrap();
    let bad = "Handle,Title,Variant Price,Variant Inventory Qty\nlace,Lace,,1\nscarf,Scarf,5,1\n";
    std::fs::write(folder.path().join("bad.csv"), bad).unwrap();
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
    let output = agape(folder.path(), &["import", "products", "good.csv", "--format", "excel"], &env).await;
    expect_code(&output, 2);
    assert_eq!(database.count("select count(*) from products").await, 1);
    let output = agape(folder.path(), &["import", "products", "good.csv"], &env).await;
    expect_code(&output, 0);
    let entries = "select count(*) from audit_log where action = 'product.import' and actor_id is null";
    assert_eq!(database.count(entries).await, 3, "each import that stored is on record");

    let output = agape(folder.path(), &["export", "products", "--output", "out.csv"], &env).await;
    expect_code(&output, 0);
    let exported = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let printed = agape(folder.path(), &["export", "products"], &env).await;
    assert_eq!(stdout(&printed), exported);
    assert_eq!(exported.lines().count(), 3, "{exported}");
    let output = import("out.csv", &["--dry-run"]).await;
    expect_code(&output, 1);
    let output = agape(folder.path(), &["import", "products", "out.csv"], &env).await;
    expect_code(&output, 0);
    let output = agape(folder.path(), &["export", "products", "--output", "missing/out.csv"], &env).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("missing/out.csv could not be written"), "{}", stderr(&output));
}

/// Ctrl-C ends an import after the batch that is being stored: what is stored is told, and the same command goes on. A second
/// one ends it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_import_says_how_far_it_came() {
    use nix::sys::signal::{Signal, kill};
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let rows: String = (0..1_000).map(|n| format!("t-{n},T {n},5,2\n")).collect();
    let head = "Handle,Title,Variant Price,Variant Inventory Qty\n";
    std::fs::write(folder.path().join("many.csv"), format!("{head}{rows}")).unwrap();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
    for signals in [1, 2] {
        // Somebody else has the turn, so that the first batch waits.
        let mut turn = database.pool.begin().await.unwrap();
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('agape product import', 0))")
            .execute(&mut *turn)
            .await
            .unwrap();
        let mut program = command(folder.path(), &["import", "products", "many.csv"], &env);
        let mut program = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(program.id().unwrap()).unwrap());
        let waiting = async {
            while database.count(waits).await == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
        kill(pid, Signal::SIGINT).unwrap();
        let mut errors = BufReader::new(program.stderr.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), errors.next_line()).await.unwrap().unwrap();
        assert!(line.unwrap().starts_with("Stopping after the batch"));
        let mut output = tokio::spawn(program.wait_with_output());
        let ended = if signals == 1 {
            turn.rollback().await.unwrap();
            output.await
        } else {
            // Two that come together are one, so the signal is sent until the program ends.
            loop {
                if let Ok(ended) = tokio::time::timeout(Duration::from_millis(50), &mut output).await {
                    break ended;
                }
                kill(pid, Signal::SIGINT).unwrap();
            }
        };
        let output = ended.unwrap().unwrap();
        expect_code(&output, 130);
        let stored = database.count("select count(*) from products").await;
        if signals == 1 {
            let text = stdout(&output);
            assert!(stored > 0 && stored < 1_000, "{stored}");
            assert!(text.contains(&format!("{stored} products created")), "{text}");
            assert!(text.contains("Stopped before the end of many.csv: what is counted here is stored."), "{text}");
        } else {
            let line = errors.next_line().await.unwrap().unwrap();
            assert!(line.contains("of which nothing is stored. The same command goes on"), "{line}");
        }
    }
    let output = agape(folder.path(), &["import", "products", "many.csv"], &env).await;
    expect_code(&output, 0);
    assert_eq!(database.count("select count(*) from products").await, 1_000);
    assert!(!stdout(&output).contains(" 0 unchanged"), "{}", stdout(&output));
}

/// Who reads only the beginning of an export or a report ends it quietly, with the exit code of a closed pipe.
#[tokio::test]
async fn an_output_that_nobody_reads_ends_quietly() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let rows: String = (0..20).map(|n| format!("t-{n},T {n},5,2\nbad-{n},B,free,2\n")).collect();
    let head = "Handle,Title,Variant Price,Variant Inventory Qty\n";
    std::fs::write(folder.path().join("many.csv"), format!("{head}{rows}")).unwrap();
    expect_code(&agape(folder.path(), &["import", "products", "many.csv"], &env).await, 1);
    for arguments in [&["export", "products"][..], &["import", "products", "many.csv"]] {
        let mut program = command(folder.path(), arguments, &env);
        let mut program = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(program.stdout.take());
        let output = tokio::time::timeout(Duration::from_secs(30), program.wait_with_output()).await.unwrap().unwrap();
        expect_code(&output, 141);
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
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
    let create = async || agape_reading("Long#Password9\n", folder.path(), &arguments, &env).await;
    expect_code(&create().await, 0);
    let output = create().await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("exists already"), "{}", stderr(&output));
    let admin = database.text("select email || ' ' || role from users").await;
    assert_eq!(admin.as_deref(), Some("boss@example.com admin"));
}

/// Every role of the staff can be made; customers make themselves.
#[tokio::test]
async fn an_administrator_makes_accounts_for_every_role_of_the_staff() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let create = async |email: &str, role: &str| {
        let arguments = ["admin", "create", "--email", email, "--name", "Ama Mensah", "--role", role];
        agape_reading("Long#Password9\n", folder.path(), &arguments, &env).await
    };
    for role in ["fulfilment", "finance", "merchant"] {
        let output = create(&format!("{role}@example.com"), role).await;
        expect_code(&output, 0);
        assert!(stdout(&output).contains(&format!("{role}@example.com is {role}")), "{}", stdout(&output));
    }
    let made =
        database.text("select string_agg(role, ',' order by role) from users where email = role || '@example.com'");
    assert_eq!(made.await.as_deref(), Some("finance,fulfilment,merchant"));
    let output = create("kofi@example.com", "customer").await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("customers register themselves"), "{}", stderr(&output));
    expect_code(&create("kofi@example.com", "boss").await, 2);
    let output = create("not an address", "finance").await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("--email must be an e-mail address"), "{}", stderr(&output));
    assert_eq!(database.count("select count(*) from users").await, 3);
}

/// Who has lost the second factor and the only account that could take it away gets in again from the command line.
#[tokio::test]
async fn a_lost_second_factor_is_taken_away() {
    let shop = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", shop.database.url.as_str())];
    let take = async |email: &str| agape(folder.path(), &["admin", "reset-2fa", "--email", email], &env).await;
    let (admin, email) = (shop.staff(Role::Admin).await, "admin@agape.example");
    two_factor::turn_on(&shop, &admin).await;
    for _ in 0..5 {
        sign_in(&shop, email, "Wrong@1234").await.expect_error(401, "AUTHENTICATION_ERROR");
    }
    let output = take("Admin@Agape.example").await;
    expect_code(&output, 0);
    assert!(stdout(&output).contains("two-factor sign-in is off for admin@agape.example"), "{}", stdout(&output));
    me(&shop, &admin).await.expect_error(401, "AUTHENTICATION_ERROR");
    // The lock is gone as well, and the password is enough.
    let admin = shop.login(email).await;
    assert_eq!(me(&shop, &admin).await.expect(200)["user"]["twoFactorEnabled"], false);
    let mails = shop.mails("security_notice").await;
    assert_eq!(mails, ["Two-factor sign-in was turned on", "Two-factor sign-in was turned off"]);
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'user.two_factor_reset'").await, 1);

    let output = take(email).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("not on for this account"), "{}", stderr(&output));
    let output = take("nobody@example.com").await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("The account was not found"), "{}", stderr(&output));
}

/// The six digits are those of an authenticator with this secret.
#[tokio::test]
async fn totp_prints_the_code_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    for text in [secret, "jbswy3dpehpk3pxpjbswy3dpehpk3pxp"] {
        // The step may end while the program runs.
        let before = current_code(secret, Utc::now()).unwrap();
        let output = agape(folder.path(), &["totp", text], &[]).await;
        let after = current_code(secret, Utc::now()).unwrap();
        expect_code(&output, 0);
        assert!([before, after].contains(&stdout(&output).trim().to_owned()), "{}", stdout(&output));
    }
    for nonsense in ["", "JBSWY3DP", "not base32 1890"] {
        expect_code(&agape(folder.path(), &["totp", nonsense], &[]).await, 1);
    }
}

/// The keys of the key file: what each is for, and its name.
async fn listed_keys(folder: &Path) -> Vec<(String, String)> {
    let output = agape(folder, &["keys", "list"], &[]).await;
    expect_code(&output, 0);
    let of = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    };
    stdout(&output).lines().map(of).collect()
}

/// The server that runs publishes a new key without a restart; nobody is signed out, and one change is made at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_while_a_server_runs() {
    // This shop lends its database and its client; the program is the server.
    let mut shop = TestApp::start().await;
    shop.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let output = agape(folder.path(), &["keys", "list"], &[]).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("data/keys/access-token.pem cannot be read"), "{}", stderr(&output));

    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (base, port) = (format!("http://127.0.0.1:{port}"), port.to_string());
    let env = [("DATABASE_URL", shop.database.url.as_str()), ("PORT", &port)];
    let mut server = command(folder.path(), &["serve"], &env);
    let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    shop.wait_for("the program to be ready", || async {
        let answer = shop.http.get(format!("{base}/readyz")).send().await.ok();
        answer.filter(|answer| answer.status() == 200).map(drop)
    })
    .await;
    let published = async || {
        let body = shop.get(&format!("{base}/.well-known/jwks.json")).send().await.body;
        body["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let my_account = async |token: &str| shop.get(&format!("{base}/api/v1/auth/me")).token(token).send().await;
    let body = json!({"email": "ama@example.com", "password": "Test@1234", "name": "Ama"});
    let data = shop.post(&format!("{base}/api/v1/auth/register")).json(&body).send().await.expect(201);
    let old_token = data["accessToken"].as_str().unwrap();
    let keys = listed_keys(folder.path()).await;
    let [(state, old)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!((state.as_str(), published().await), ("signing", vec![old.clone()]));

    let output = agape(folder.path(), &["keys", "rotate"], &[]).await;
    expect_code(&output, 0);
    let keys = listed_keys(folder.path()).await;
    assert_eq!(keys.iter().map(|(state, _)| state.as_str()).collect::<Vec<_>>(), ["signing", "next"]);
    assert_eq!(&keys[0].1, old);
    assert!(stdout(&output).starts_with(&format!("{} signs from ", keys[1].1)), "{}", stdout(&output));
    let file = folder.path().join("data/keys/access-token.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut files = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(files.all(|name| !name.to_str().unwrap().contains("partial")));

    shop.wait_for("both keys to be published", || async { (published().await.len() == 2).then_some(()) }).await;
    let mut kids = published().await;
    kids.sort();
    let mut expected: Vec<String> = keys.into_iter().map(|(_, kid)| kid).collect();
    expected.sort();
    assert_eq!(kids, expected);
    my_account(old_token).await.expect(200);
    let body = json!({"email": "ama@example.com", "password": "Test@1234"});
    let data = shop.post(&format!("{base}/api/v1/auth/login")).json(&body).send().await.expect(200);
    my_account(data["accessToken"].as_str().unwrap()).await.expect(200);

    let before = std::fs::read(&file).unwrap();
    let output = agape(folder.path(), &["keys", "rotate"], &[]).await;
    expect_code(&output, 1);
    assert!(stderr(&output).contains("a new key waits already; it signs from"), "{}", stderr(&output));
    expect_code(&agape(folder.path(), &["keys", "rotate", "--wait-minutes", "0"], &[]).await, 2);
    assert!(std::fs::read(&file).unwrap() == before, "a refusal leaves the file as it was");
    server.kill().await.unwrap();
}

/// The doctor looks at everything that a shop depends on, says how to mend what is wrong, and exits with 1.
#[tokio::test]
async fn the_doctor_finds_what_is_wrong() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let env = [("DATABASE_URL", database.url.as_str())];
    let doctor = async || agape(folder.path(), &["doctor"], &env).await;
    let sick = doctor().await;
    expect_code(&sick, 1);
    assert!(stdout(&sick).contains("FAIL  administrator: there is none; run: agape admin create"), "{}", stdout(&sick));
    for (email, role) in
        [("boss@example.com", "admin"), ("ama@example.com", "fulfilment"), ("ben@example.com", "finance")]
    {
        let arguments = ["admin", "create", "--email", email, "--name", "Staff", "--role", role];
        expect_code(&agape_reading("Long#Password9\n", folder.path(), &arguments, &env).await, 0);
    }

    let healthy = doctor().await;
    expect_code(&healthy, 0);
    let text = stdout(&healthy);
    for check in [
        "settings: valid, development",
        "data directory: data",
        "database: answers",
        "migrations: all applied",
        "signing keys: ",
        "audit log: 3 entries, every link fits, head ",
        "stock: 0 levels, each the sum of its movements",
        "administrator: there is one",
        "media directory: new pictures are kept here; ",
        "payments: the built-in sandbox",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("ok    {check}"))), "{check} is missing in {text}");
    }
    assert!(text.lines().all(|line| line.starts_with("ok    ")), "{text}");

    let key = folder.path().join("data/keys/access-token.pem");
    let set_mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o644);
    let sick = doctor().await;
    expect_code(&sick, 1);
    let told =
        "FAIL  data directory: others may read data/keys/access-token.pem; run: chmod 600 data/keys/access-token.pem";
    assert!(stdout(&sick).contains(told), "{}", stdout(&sick));
    set_mode(0o600);
    expect_code(&doctor().await, 0);

    // Where pictures are to be kept, nothing can be written.
    let media = folder.path().join("data/media");
    std::fs::rename(&media, folder.path().join("data/aside")).unwrap();
    std::fs::write(&media, "no folder").unwrap();
    let sick = doctor().await;
    expect_code(&sick, 1);
    let told = "FAIL  media directory: the user of this program must be able to write to data/media (server.data_dir)";
    assert!(stdout(&sick).contains(told), "{}", stdout(&sick));
    std::fs::remove_file(&media).unwrap();
    std::fs::rename(folder.path().join("data/aside"), &media).unwrap();
    expect_code(&doctor().await, 0);

    // Somebody with all rights writes to the log past the program.
    for sql in [
        "alter table audit_log disable trigger audit_log_append_only",
        "update audit_log set action = 'nothing' where seq = 2",
        "alter table audit_log enable trigger audit_log_append_only",
    ] {
        sqlx::query(sql).execute(&database.pool).await.unwrap();
    }
    let sick = doctor().await;
    expect_code(&sick, 1);
    let told = "FAIL  audit log: the chain is broken at entry 2: it, or the one before it, was changed";
    assert!(stdout(&sick).contains(told), "{}", stdout(&sick));

    // What is left can still be looked at where the database cannot.
    let refusing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("postgres://agape:hunter2@{refusing}/shop");
    let sick = agape(folder.path(), &["doctor"], &[("DATABASE_URL", url.as_str())]).await;
    expect_code(&sick, 1);
    let text = stdout(&sick);
    assert!(text.contains("ok    settings") && text.contains("FAIL  database: "), "{text}");
    assert!(text.contains(&refusing.to_string()) && !text.contains("hunter2"), "{text}");
}

/// Every command explains itself.
#[tokio::test]
async fn every_command_has_help() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &[][..],
        &["serve"],
        &["sandbox"],
        &["migrate"],
        &["migrate", "up"],
        &["migrate", "status"],
        &["import"],
        &["import", "products"],
        &["doctor"],
        &["keys"],
        &["keys", "list"],
        &["keys", "rotate"],
        &["totp"],
        &["admin"],
        &["admin", "create"],
        &["admin", "reset-2fa"],
        &["config"],
        &["openapi"],
        &["completions"],
    ] {
        let output = agape(folder.path(), &[command, &["--help"]].concat(), &[]).await;
        expect_code(&output, 0);
        assert!(stdout(&output).contains("Usage: agape"), "{command:?}: {}", stdout(&output));
    }
    let main = stdout(&agape(folder.path(), &["--help"], &[]).await);
    let commands = [
        "serve",
        "sandbox",
        "migrate",
        "import",
        "doctor",
        "keys",
        "totp",
        "admin",
        "config",
        "openapi",
        "completions",
    ];
    for command in commands {
        assert!(main.lines().any(|line| line.trim().starts_with(command)), "{command} is missing in {main}");
    }
    expect_code(&agape(folder.path(), &["--version"], &[]).await, 0);
    let script = agape(folder.path(), &["completions", "bash"], &[]).await;
    expect_code(&script, 0);
    assert!(stdout(&script).contains("_agape"));
}
