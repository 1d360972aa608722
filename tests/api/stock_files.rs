//! Stock in and out as CSV.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::json;

use crate::concurrency::assert_ledger;
use crate::inventory::level;
use crate::support::{Answer, TestApp};

async fn import(shop: &TestApp, staff: &str, query: &str, file: impl Into<reqwest::Body>) -> Answer {
    shop.post(&format!("/admin/inventory/import?{query}")).token(staff).bytes("text/csv", file).send().await
}

async fn export(shop: &TestApp, staff: &str) -> String {
    let answer = shop.get("/admin/exports/inventory").token(staff).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    answer.text
}

/// Out, changed in a spreadsheet, and in again. What was sold meanwhile stays sold, and what another member of the staff did
/// meanwhile is not overwritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_can_be_changed_and_sent_back() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 5).await;
    let formula = shop.product(&admin, "=TWO", 1_000, 7).await;
    let file = export(&shop, &admin).await;
    // In the order of the skus, which is the database's.
    let mut lines: Vec<_> = file.lines().collect();
    lines[1..].sort_unstable();
    let expected = [
        "SKU,Title,Variant,Reserved,On hand,Quantity,Reason,Note,Version",
        "'=TWO,Kente =TWO,,0,7,7,,,1",
        "ONE,Kente ONE,,0,5,5,,,1",
    ];
    assert_eq!(lines, expected);
    let row = file.lines().position(|line| line.starts_with("ONE")).unwrap() + 1;
    let same = import(&shop, &admin, "", file.clone()).await.expect(200);
    assert_eq!((&same["changed"], &same["unchanged"]), (&json!(0), &json!(2)));

    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &one, 2).await;
    let payment = shop.initialize(&ama, &order).await;
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    // Two were sold since; four more have arrived.
    let changed = file.replace("5,5,,,1", "5,9,received,crate 7,1");
    let dry = import(&shop, &admin, "dryRun=true", changed.clone()).await.expect(200);
    assert_eq!((&dry["dryRun"], &dry["changed"], &dry["levels"][0]["onHand"]), (&json!(true), &json!(1), &json!(7)));
    assert_eq!(level(&shop, &admin, &one).await["onHand"], 3, "a dry run stores nothing");
    import(&shop, &admin, "", changed.clone()).await.expect(200);
    assert_eq!(shop.available(&one).await, 7, "what shoppers see");
    // The same file once more is based on an older version.
    let again = import(&shop, &admin, "", changed).await;
    assert_eq!(again.expect_error(409, "CONFLICT"), [format!("rows[{row}]")]);
    let excel = "\u{feff}SKU;Quantity;Note\r\n\"'=TWO\";1;\"two\r\nlines\"\r\n";
    import(&shop, &admin, "reason=correction", excel).await.expect(200);
    assert_eq!(level(&shop, &admin, &formula).await["onHand"], 1);
    let ledger = shop.database.text("select reason || ' ' || note from stock_movements order by id desc limit 1").await;
    assert_eq!(ledger.as_deref(), Some("correction two\nlines"));
    assert_ledger(&shop).await;
}

/// All faults of a file are told by row, those of the table and those of the stock, and nothing of it is done.
#[tokio::test]
async fn a_file_with_a_fault_changes_nothing() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.product(&admin, "ONE", 1_000, 5).await;
    shop.product(&admin, "TWO", 1_000, 5).await;
    let file = "sku,change,reason\nONE,+3,received\nNONE,1,\nTWO,-9,lost\nONE,1,\nTHREE,1.5,\nTWO,-1,stolen\n";
    let refused = import(&shop, &admin, "", file).await;
    let mut told = refused.expect_error(400, "VALIDATION_ERROR");
    told.sort();
    let expected = ["rows[3].sku", "rows[4]", "rows[5].sku", "rows[6].change", "rows[7].reason", "rows[7].sku"];
    assert_eq!(told, expected, "{}", refused.text);
    let refused = import(&shop, &admin, "", "sku,change\nONE,1\nTWO,-9\n").await;
    assert_eq!(refused.expect_error(409, "CONFLICT"), ["rows[3]"]);
    for (file, told) in [
        ("", "must have a column SKU"),
        ("sku,quantity,price\nONE,1,2", "price"),
        ("sku\nONE", "Quantity or Change"),
        ("PK\u{3}\u{4}\0", "CSV UTF-8"),
        ("sku,quantity\nONE,=1+1", "whole number"),
        ("sku,quantity\nONE,-1", "between 0 and 1000000"),
        ("sku,change\nONE,1000001", "between -1000000 and 1000000"),
    ] {
        let refused = import(&shop, &admin, "", file).await;
        refused.expect_error(400, "VALIDATION_ERROR");
        assert!(refused.text.contains(told), "{told}: {}", refused.text);
    }
    import(&shop, &admin, "reason=stolen", "sku,change\nONE,1").await.expect_error(400, "VALIDATION_ERROR");
    let path = "/admin/inventory/import";
    let xlsx = shop.post(path).token(&admin).bytes("application/vnd.ms-excel", "sku,change\nONE,1").send().await;
    xlsx.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let large = format!("sku,change,note\nONE,1,{}\n", "x".repeat(1_100_000));
    import(&shop, &admin, "", large).await.expect_error(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(shop.database.count("select count(*) from stock_movements where reason <> 'initial'").await, 0);
    assert_eq!(shop.database.count("select count(*) from stock_levels where version > 1").await, 0);
}

/// A file that is sent again with its key, also many times at once, is taken once; a dry run takes no key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_file_is_taken_once() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let one = shop.product(&admin, "ONE", 1_000, 5).await;
    let call = |query: &str, file: &'static str| {
        let path = format!("/admin/inventory/import?{query}");
        shop.post(&path).token(&admin).header("idempotency-key", "file-1").bytes("text/csv", file).send()
    };
    let file = "sku,change\nONE,5\n";
    call("dryRun=true", file).await.expect(200);
    let answers = join_all((0..8).map(|_| call("", file))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:#?}");
    assert_eq!(call("", file).await.header("idempotency-replayed").as_deref(), Some("true"));
    call("", "sku,change\nONE,6\n").await.expect_error(422, "VALIDATION_ERROR");
    call("reason=received", file).await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(level(&shop, &admin, &one).await["onHand"], 10);
    assert_ledger(&shop).await;
}

/// The export goes on behind its batches, and leaves out what was removed.
#[tokio::test]
async fn a_large_export_is_whole() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    sqlx::query(
        "with p as (
           insert into products (id, sku, title, slug, currency, price_minor, created_at, updated_at, archived_at)
           select gen_random_uuid(), 'M' || n, 'Mass ' || n, 'mass-' || n, 'NGN', 100, now(), now(),
                  case when n = 700 then now() end
           from generate_series(1, 1200) n returning id, sku),
         v as (insert into variants (id, product_id, sku, price_minor, position)
               select gen_random_uuid(), id, sku, 100, 0 from p returning id)
         insert into stock_levels (variant_id) select id from v",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    let file = export(&shop, &admin).await;
    let skus: std::collections::BTreeSet<_> =
        file.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((file.lines().count(), skus.len()), (1_200, 1_199));
    assert!(!skus.contains("M700"));
    assert_eq!(shop.database.count("select count(*) from audit_log where action = 'inventory.export'").await, 1);
}
