//! Importing products over HTTP: upload, progress, report, and what a kill in the middle leaves.

use agape::features::auth::Role;
use agape::flows::retention::Retention;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::crash::{Agape, free_port, wait_until_ready};
use crate::support::{Call, TestApp};

const HEAD: &str = "Handle,Title,Variant SKU,Variant Price,Variant Inventory Qty\n";

fn rows(count: usize) -> String {
    let rows: Vec<String> = (0..count).map(|n| format!("t-{n},T {n},T-{n},5,2\n")).collect();
    format!("{HEAD}{}", rows.concat())
}

fn upload(shop: &TestApp, token: &str, file: impl Into<reqwest::Body>) -> Call {
    shop.post("/admin/imports?fileName=a/b%5Ccloths.csv").token(token).bytes("text/csv", file)
}

/// A form of a browser with these fields; the file's field is named `file`.
fn form(shop: &TestApp, token: &str, fields: &[(&str, &str)]) -> Call {
    let mut body = String::new();
    for (name, value) in fields {
        let file =
            if *name == "file" { "; filename=\"cloths.csv\"\r\nContent-Type: application/vnd.ms-excel" } else { "" };
        body.push_str(&format!(
            "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str("--frontier--\r\n");
    shop.post("/admin/imports").token(token).bytes("multipart/form-data; boundary=frontier", body)
}

/// Waits until an import has ended, and gives the answer about it.
async fn ended(shop: &TestApp, token: &str, import: &Value) -> Value {
    let path = format!("/admin/imports/{}", import["import"]["id"].as_str().unwrap());
    shop.wait_for("the import", || async {
        let data = shop.get(&path).token(token).send().await.expect(200);
        let is_open = matches!(data["import"]["status"].as_str().unwrap(), "queued" | "running");
        (!is_open).then_some(data)
    })
    .await
}

/// A file is handed in as a body, imported in the background, and reported with the rows that were wrong.
#[tokio::test]
async fn a_file_is_imported_in_the_background() {
    let shop = TestApp::start().await;
    let merchant = shop.staff(Role::Merchant).await;
    let file = format!("{}bad,=Bad,B-1,free,\n", rows(450));
    let answer = upload(&shop, &merchant, file.clone()).send().await.expect(201);
    assert_eq!((&answer["import"]["status"], &answer["import"]["fileName"]), (&json!("queued"), &json!("cloths.csv")));
    let data = ended(&shop, &merchant, &answer).await;
    let import = &data["import"];
    for (field, value) in [
        ("status", json!("completed")),
        ("format", json!("shopify")),
        ("dryRun", json!(false)),
        ("bytes", json!(file.len())),
        ("progress", json!(100)),
        ("rows", json!(452)),
        ("created", json!(450)),
        ("refused", json!(1)),
        ("variants", json!(450)),
        ("problemCount", json!(2)),
        ("failure", Value::Null),
    ] {
        assert_eq!(import[field], value, "{field}");
    }
    assert_eq!((&data["problems"][0]["row"], &data["problems"][0]["severity"]), (&json!(452), &json!("warning")));
    assert_eq!(data["problems"][1]["column"], "Variant Price");
    let report = shop.get(&format!("/admin/imports/{}/report", import["id"].as_str().unwrap()));
    let report = report.token(&merchant).send().await;
    assert!(report.header("content-type").unwrap().starts_with("text/csv"));
    let lines: Vec<&str> = report.text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "Row,Column,Severity,Message"));
    assert!(lines[2].starts_with("452,Variant Price,error,"), "{}", lines[2]);
    assert_eq!(shop.database.count("select count(*) from products").await, 450);
    assert_eq!(shop.database.count("select count(*) from import_chunks").await, 0, "the file is forgotten");
    assert_ledger(&shop).await;
    let again = upload(&shop, &merchant, file).send().await.expect(201);
    let data = ended(&shop, &merchant, &again).await;
    assert_eq!((&data["import"]["unchanged"], &data["import"]["created"]), (&json!(450), &json!(0)));
    let listed = shop.get("/admin/imports?limit=1").token(&merchant).send().await;
    assert_eq!(
        (&listed.body["pagination"]["total"], &listed.body["data"]["imports"][0]["id"]),
        (&json!(2), &again["import"]["id"])
    );
}

/// A browser's form, with a dry run, in any order of its fields.
#[tokio::test]
async fn a_form_of_a_browser_is_read() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let file = rows(3);
    for fields in [
        &[("dryRun", "true"), ("format", "shopify"), ("file", file.as_str())],
        &[("file", file.as_str()), ("format", "auto"), ("dryRun", "on")],
    ] {
        let answer = form(&shop, &admin, fields).send().await.expect(201);
        let data = ended(&shop, &admin, &answer).await;
        let import = &data["import"];
        assert_eq!((&import["status"], &import["dryRun"]), (&json!("completed"), &json!(true)));
        assert_eq!((&import["created"], &import["fileName"]), (&json!(3), &json!("cloths.csv")));
    }
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
    let audited = "select count(*) from audit_log where action = 'product.import'";
    assert_eq!(shop.database.count(audited).await, 0, "a dry run is no deed");
    for (fields, field) in [
        (&[("dryRun", "true")][..], "file"),
        (&[("file", file.as_str()), ("dryRun", "perhaps")], "dryRun"),
        (&[("file", file.as_str()), ("format", "xlsx")], "format"),
        (&[("file", file.as_str()), ("colour", "x")], "colour"),
        (&[("file", file.as_str()), ("file", file.as_str())], "file"),
    ] {
        let answer = form(&shop, &admin, fields).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{fields:?}");
    }
    let cut = shop.post("/admin/imports").token(&admin).bytes("multipart/form-data; boundary=x", "--x\r\nContent-Disp");
    cut.send().await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from imports").await, 2, "what did not come whole is forgotten");
}

/// What is no product file is refused when it comes; what turns out to be broken later fails with the reason.
#[tokio::test]
async fn other_files_are_refused() {
    let shop = TestApp::with(|config| config.imports.max_bytes = 20_000_000).await;
    let admin = shop.staff(Role::Admin).await;
    for (file, word) in [
        (b"PK\x03\x04rest of a workbook".to_vec(), "workbook"),
        (b"<!DOCTYPE html><html>".to_vec(), "web page"),
        (Vec::new(), "empty"),
        (b"Name,Cost\nkente,5\n".to_vec(), "not the headings"),
        (b"Handle,Title\nkente,Kente\n".to_vec(), "lacks"),
        (b"ID,Rodzaj,SKU,Nazwa,Meta: _x\n".to_vec(), "looks like a product file of WooCommerce"),
        (b"Handle,Handle,Title,Price\n".to_vec(), "mean the same"),
    ] {
        let answer = upload(&shop, &admin, file).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["file"]);
        assert!(answer.text.contains(word), "{word}: {}", answer.text);
    }
    let json = shop.post("/admin/imports").token(&admin).json(&json!({"file": "x"})).send().await;
    json.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let answer = shop.post("/admin/imports?format=xlsx").token(&admin).bytes("text/csv", rows(1)).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["format"]);
    assert_eq!(shop.database.count("select count(*) from imports").await, 0);

    let huge = format!("{}x,\"{}", rows(2), "y\n".repeat(5_000_000));
    let answer = upload(&shop, &admin, huge).send().await.expect(201);
    let data = ended(&shop, &admin, &answer).await;
    assert_eq!(data["import"]["status"], "failed");
    let failure = data["import"]["failure"].as_str().unwrap();
    assert!(failure.contains("larger than 8 MB"), "{failure}");
    let answer = upload(&shop, &admin, HEAD).send().await.expect(201);
    let data = ended(&shop, &admin, &answer).await;
    assert!(data["import"]["failure"].as_str().unwrap().contains("no products"));
    assert_eq!(shop.database.count("select count(*) from import_chunks").await, 0);
}

/// A file has a limit, whether its length is told before or not, and whatever it is wrapped in.
#[tokio::test]
async fn a_file_has_a_limit() {
    let shop = TestApp::with(|config| config.imports.max_bytes = 600_000).await;
    let admin = shop.staff(Role::Admin).await;
    let large = rows(40_000);
    assert!(large.len() > 600_000);
    upload(&shop, &admin, large.clone()).send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    form(&shop, &admin, &[("file", &large)]).send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    // A form has more bytes than its file, so this one is only found out as it comes.
    let little = large.get(..620_000).unwrap();
    form(&shop, &admin, &[("file", little)]).send().await.expect_error(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(shop.database.count("select count(*) from imports").await, 0);
    // More than other requests may send.
    let fits = rows(20_000);
    assert!(fits.len() > 300_000 && fits.len() < 600_000);
    let answer = upload(&shop, &admin, fits).send().await.expect(201);
    let cancel = format!("/admin/imports/{}/cancel", answer["import"]["id"].as_str().unwrap());
    shop.post(&cancel).token(&admin).send().await.expect(200);
}

/// An import that was cancelled stores nothing more, and cannot be cancelled twice.
#[tokio::test]
async fn a_cancelled_import_stops() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    // Somebody else has the turn, so that the import waits with its first batch.
    let mut turn = shop.database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('agape product import', 0))")
        .execute(&mut *turn)
        .await
        .unwrap();
    let answer = upload(&shop, &admin, rows(300)).send().await.expect(201);
    let cancel = format!("/admin/imports/{}/cancel", answer["import"]["id"].as_str().unwrap());
    let data = shop.post(&cancel).token(&admin).send().await.expect(200);
    assert_eq!(data["import"]["status"], "cancelled");
    turn.rollback().await.unwrap();
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
    shop.post(&cancel).token(&admin).send().await.expect_error(409, "CONFLICT");
    let unknown = format!("/admin/imports/{}/cancel", uuid::Uuid::now_v7());
    shop.post(&unknown).token(&admin).send().await.expect_error(404, "NOT_FOUND");
}

/// A repeated request with the same key and file gets the first answer, in whatever form the file comes, and begins no second
/// import; with another file the key is refused, and so it is while the first request runs.
#[tokio::test]
async fn a_repeated_upload_imports_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let file = rows(3);
    let send = |file: &str| upload(&shop, &admin, file.to_owned()).header("idempotency-key", "k-1").send();
    let first = send(&file).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let import = first.expect(201);
    let again = send(&file).await;
    assert_eq!(again.header("idempotency-replayed").as_deref(), Some("true"));
    assert_eq!(again.expect(201), import);
    let form = form(&shop, &admin, &[("file", &file)]).header("idempotency-key", "k-1").send().await;
    assert_eq!(form.expect(201), import);
    send(&rows(4)).await.expect_error(422, "VALIDATION_ERROR");
    let dry = shop.post("/admin/imports?fileName=cloths.csv&dryRun=true").token(&admin).bytes("text/csv", file.clone());
    dry.header("idempotency-key", "k-1").send().await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from imports").await, 1, "what came again is forgotten");
    ended(&shop, &admin, &import).await;
    assert_eq!(shop.database.count("select count(*) from import_chunks").await, 0);
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'import.start'").await, 1);

    let user = shop.database.text("select created_by::text from imports").await.unwrap();
    let mut running = shop.database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{user} POST /admin/imports k-2"))
        .execute(&mut *running)
        .await
        .unwrap();
    let busy = upload(&shop, &admin, file.clone()).header("idempotency-key", "k-2").send().await;
    busy.expect_error(409, "CONFLICT");
    running.rollback().await.unwrap();
    let done = upload(&shop, &admin, file).header("idempotency-key", "k-2").send().await.expect(201);
    assert_ne!(done["import"]["id"], import["import"]["id"]);
    assert_eq!(shop.database.count("select count(*) from imports").await, 2);
}

/// An import whose job was lost gets a new one; one that has its job gets no second.
#[tokio::test]
async fn an_import_without_a_job_gets_one() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let mut turn = shop.database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('agape product import', 0))")
        .execute(&mut *turn)
        .await
        .unwrap();
    let answer = upload(&shop, &admin, rows(3)).send().await.expect(201);
    let jobs = "select count(*) from river_job where kind = 'run_import'";
    agape::features::catalog::requeue_forgotten_imports(&shop.app).await.unwrap();
    assert_eq!(shop.database.count(jobs).await, 1);
    turn.rollback().await.unwrap();
    ended(&shop, &admin, &answer).await;
    // As after a crash that lost the queue, with the file still there.
    sqlx::query("delete from river_job where kind = 'run_import'").execute(&shop.database.pool).await.unwrap();
    let id = uuid::Uuid::now_v7();
    let file = rows(5);
    sqlx::query(
        "insert into imports (id, status, file_name, format, dry_run, bytes, actor_role, session_id, created_at)
         values ($1, 'queued', 'lost.csv', 'shopify', false, $2, 'admin', gen_random_uuid(), now())",
    )
    .bind(id)
    .bind(i64::try_from(file.len()).unwrap())
    .execute(&shop.database.pool)
    .await
    .unwrap();
    sqlx::query("insert into import_chunks (import_id, n, bytes) values ($1, 0, $2)")
        .bind(id)
        .bind(file.as_bytes())
        .execute(&shop.database.pool)
        .await
        .unwrap();
    agape::features::catalog::requeue_forgotten_imports(&shop.app).await.unwrap();
    let data = ended(&shop, &admin, &json!({"import": {"id": id}})).await;
    let import = &data["import"];
    assert_eq!(
        (&import["status"], &import["created"], &import["unchanged"]),
        (&json!("completed"), &json!(2), &json!(3))
    );
    assert_eq!(shop.database.count("select count(*) from products").await, 5);
}

/// What a file says and is not taken over is told in the import, and how much of it.
#[tokio::test]
async fn what_is_not_taken_over_is_told() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let first = upload(&shop, &admin, rows(30)).send().await.expect(201);
    ended(&shop, &admin, &first).await;
    let other =
        rows(30).replace(",5,2\n", ",5,7,x\n").replacen("Variant Inventory Qty", "Variant Inventory Qty,SEO Title", 1);
    let second = upload(&shop, &admin, other).send().await.expect(201);
    let data = ended(&shop, &admin, &second).await;
    let import = &data["import"];
    assert_eq!(
        (&import["unchanged"], &import["stockKept"], &import["problemCount"]),
        (&json!(30), &json!(30), &json!(21))
    );
    assert_eq!(data["problems"][0]["message"], "Columns that are not read: SEO Title.");
    assert_eq!(data["problems"][0]["row"], 1);
}

/// The program is killed in the middle of an import. After a restart it goes on where it was: each product is counted
/// once, and the report is as if nothing had happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_a_kill() {
    let mut shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (port, data) = (free_port(), tempfile::tempdir().unwrap());
    let mut turn = shop.database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('agape product import', 0))")
        .execute(&mut *turn)
        .await
        .unwrap();
    let file = format!("{}bad,Bad,B-1,free,\n", rows(2_000));
    let answer = upload(&shop, &admin, file).send().await.expect(201);
    shop.stop().await;
    let mut program = Agape::serve(&shop.database.url, data.path(), port, &[]);
    wait_until_ready(&shop, port).await;
    turn.rollback().await.unwrap();
    let done = "select products_done from imports";
    shop.wait_for("the first batches", || async { (shop.database.count(done).await >= 400).then_some(()) }).await;
    program.kill();
    let before = shop.database.count(done).await;
    assert!((400..2_001).contains(&before), "{before}");
    assert_eq!(shop.database.count("select count(*) from products").await, before, "whole batches and their count");

    let mut program = Agape::serve(&shop.database.url, data.path(), port, &[]);
    wait_until_ready(&shop, port).await;
    shop.wait_for("the import", || async {
        (shop.database.count("select count(*) from imports where status = 'completed'").await == 1).then_some(())
    })
    .await;
    assert_eq!(program.terminate(), Some(0));
    let counts =
        "select concat_ws(' ', created, updated, unchanged, refused, variants, problems, products_done) from imports";
    assert_eq!(shop.database.text(counts).await.unwrap(), "2000 0 0 1 2000 1 2001");
    assert_eq!(shop.database.count("select count(*) from products").await, 2_000);
    assert_eq!(shop.database.count("select row_number from import_problems").await, 2_002);
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'product.import'").await, 1);
    let mut connection = shop.database.pool.acquire().await.unwrap();
    let faults = agape::features::inventory::ledger_faults(&mut connection).await.unwrap();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(answer["import"]["id"].is_string());
}

/// The command line is killed in the middle of a file. The same command goes on, and says what was there already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_command_goes_on() {
    let shop = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloths.csv"), rows(3_000)).unwrap();
    let (path, url) = (folder.path().to_owned(), shop.database.url.clone());
    let command = move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_agape"));
        command.args(["import", "products", "cloths.csv", "--json"]).current_dir(&path);
        command.env("DATABASE_URL", &url).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        command
    };
    let mut first = command().spawn().unwrap();
    let products = "select count(*) from products";
    shop.wait_for("the first batches", || async { (shop.database.count(products).await >= 200).then_some(()) }).await;
    first.kill().unwrap();
    first.wait().unwrap();
    let before = shop.database.count(products).await;
    let output = tokio::task::spawn_blocking(move || command().output().unwrap()).await.unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["unchanged"], &report["created"]), (&json!(before), &json!(3_000 - before)));
    assert_eq!(shop.database.count(products).await, 3_000);
    assert_ledger(&shop).await;
}

/// The daily clean-up forgets old imports and uploads that never ended.
#[tokio::test]
async fn old_imports_are_forgotten() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let answer = upload(&shop, &admin, format!("{HEAD}bad,Bad,B,free,\n")).send().await.expect(201);
    ended(&shop, &admin, &answer).await;
    sqlx::query(
        "insert into imports (id, status, file_name, dry_run, actor_role, session_id, created_at)
         values (gen_random_uuid(), 'uploading', '', false, 'admin', gen_random_uuid(), now())",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    let imports = "select count(*) from imports";
    for (days, left) in [(0, 2), (2, 1), (87, 1), (3, 0)] {
        shop.app.clock.advance(TimeDelta::days(days));
        Job::run(Retention {}, &shop.app).await.unwrap();
        assert_eq!(shop.database.count(imports).await, left, "after {days} more days");
    }
    assert_eq!(shop.database.count("select count(*) from import_problems").await, 0);
}

/// Customers and staff of other trades import and export nothing.
#[tokio::test]
async fn others_may_not() {
    let shop = TestApp::start().await;
    for role in [Role::Customer, Role::Fulfilment, Role::Finance] {
        let token = shop.staff(role).await;
        upload(&shop, &token, rows(1)).send().await.expect_error(403, "AUTHORIZATION_ERROR");
        for path in ["/admin/imports", "/admin/exports/products"] {
            shop.get(path).token(&token).send().await.expect_error(403, "AUTHORIZATION_ERROR");
        }
    }
    assert_eq!(shop.database.count("select count(*) from imports").await, 0);
}
