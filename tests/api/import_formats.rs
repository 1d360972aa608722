//! Importing the files of other programs than Shopify, from the bytes to the database.

use agape::features::catalog::import::{Format, Severity};
use agape::features::catalog::{ImportReport, ImportSettings, import_products};
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::TestApp;

async fn import(shop: &TestApp, file: &str) -> ImportReport {
    import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap()
}

fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.created, report.updated, report.unchanged, report.refused)
}

async fn product(shop: &TestApp, slug: &str) -> Value {
    shop.get(&format!("/products/{slug}")).send().await.expect(200)["product"].clone()
}

const WOO: &str = "ID,Type,SKU,Name,Published,Description,In stock?,Stock,\"Weight (lbs)\",\"Sale price\",\"Regular price\",\
    Categories,Images,Parent,Position,\"Attribute 1 name\",\"Attribute 1 value(s)\"\n\
    10,variable,K,Kente,1,<p>Woven.</p>,1,,2,,,Cloth > Shirts,https://a.example/k.jpg,,0,Colour,\"Gold, Blue\"\n\
    20,simple,S,Scarf,1,,1,7,.5,15,20,Men > Shirts,,,0,,\n\
    21,grouped,G,Set,1,,1,,,,,Cloth,,,0,,\n\
    11,variation,K-B,Kente - Blue,1,,1,3,,,110,,https://a.example/b.jpg,K,2,Colour,Blue\n\
    12,variation,K-G,Kente - Gold,1,,1,5,,,100,,,id:10,1,Colour,Gold\n";

/// A file of WooCommerce becomes products with variants, categories below each other and stock, once.
#[tokio::test]
async fn a_file_of_woocommerce_becomes_products_once() {
    let shop = TestApp::start().await;
    let report = import(&shop, WOO).await;
    assert_eq!((counts(&report), report.variants, report.images), ((2, 0, 0, 1), 3, 1), "{:#?}", report.problems);
    assert_eq!((report.problems[0].row, report.problems[0].severity), (4, Severity::Error));
    let kente = product(&shop, "kente").await;
    assert_eq!((&kente["sku"], &kente["price"], &kente["inventory"]), (&json!("K"), &json!(100), &json!(8)));
    assert_eq!((&kente["description"], &kente["weight"]), (&json!("Woven."), &json!(907)));
    let skus: Vec<_> = kente["variants"].as_array().unwrap().iter().map(|v| v["sku"].clone()).collect();
    assert_eq!(skus, ["K-G", "K-B"]);
    assert_eq!(kente["variants"][1]["image"], "https://a.example/b.jpg");
    let scarf = product(&shop, "scarf").await;
    assert_eq!((&scarf["price"], &scarf["compareAtPrice"]), (&json!(15), &json!(20)));
    // Two categories of one name below different ones; the product that is complete first comes first.
    assert_eq!((&kente["category"]["slug"], &scarf["category"]["slug"]), (&json!("cloth-shirts"), &json!("shirts")));
    assert_eq!(shop.database.count("select count(*) from categories where parent_id is not null").await, 2);
    assert_ledger(&shop).await;

    assert_eq!(counts(&import(&shop, WOO).await), (0, 0, 2, 1));
    // Another name is the same product with the same address.
    assert_eq!(counts(&import(&shop, &WOO.replace(",Kente,", ",Kente cloth,")).await), (0, 1, 1, 1));
    assert_eq!(product(&shop, "kente").await["title"], "Kente cloth");
    assert_eq!(shop.database.count("select count(*) from categories").await, 4);
    assert_ledger(&shop).await;
}

/// AGAPE's own lines: products that staff made are found by their slug, and wrong lines are told by their number.
#[tokio::test]
async fn lines_of_json_are_read() {
    let shop = TestApp::start().await;
    let admin = shop.staff(agape::features::auth::Role::Admin).await;
    shop.product(&admin, "A", 5, 3).await;
    let file = "\u{feff}{\"slug\": \"kente-a\", \"title\": \"Kente\", \"price\": 7.5, \"variants\": [{\"sku\": \"A\", \"price\": 7.5, \"stock\": 9}]}\n\
                \n\
                {\"slug\": \"lace\", \"title\": \"Lace\", \"currency\": \"NGN\", \"variants\": [{\"price\": 3}]}\n\
                {\"slug\": \"lace\", \"title\": \"Lace\", \"variants\": [{\"price\": 3}]}\n\
                {\"slug\": \"wax\", \"title\": \"Wax\", \"variants\": [{\"price\": \"much\"}]}\n\
                {\"slug\": \"Wax Cloth\", \"title\": \"\", \"colour\": 1, \"variants\": []}\n\
                {\"slug\": \"wax\", \"title\": \"Wax\", \"variants\": []}\n\
                {\"slug\": \"dear\", \"title\": \"Dear\", \"currency\": \"USD\", \"variants\": [{\"price\": 3}]}\n\
                not json\n";
    let report = import(&shop, file).await;
    assert_eq!(counts(&report), (1, 1, 0, 6), "{:#?}", report.problems);
    let rows: Vec<u64> = report.problems.iter().map(|problem| problem.row).collect();
    assert_eq!(rows, [1, 4, 5, 6, 7, 8, 9]);
    assert!(report.problems[0].message.contains("the file counts 9, the shop 3"), "{}", report.problems[0].message);
    assert_eq!(report.problems[4].column.as_deref(), Some("variants.sku"));
    let kente = product(&shop, "kente-a").await;
    assert_eq!((&kente["title"], &kente["price"], &kente["inventory"]), (&json!("Kente"), &json!(7.5), &json!(3)));
    assert_eq!(shop.database.count("select count(*) from products").await, 2);
}

/// A format that is named is taken, and refused where the file is another.
#[tokio::test]
async fn a_format_can_be_named() {
    let shop = TestApp::start().await;
    for (format, taken) in [(Format::WooCommerce, true), (Format::Shopify, false), (Format::Agape, false)] {
        let settings = ImportSettings { dry_run: true, format: Some(format) };
        let result = import_products(&shop.app, &WOO.as_bytes(), settings, |_| {}).await;
        assert_eq!(result.is_ok(), taken, "{format:?}");
    }
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
}

/// One product of a batch that the database refuses keeps out no other, wherever it stands, and a dry run tells the same.
#[tokio::test]
async fn a_refused_product_of_many_is_found() {
    let shop = TestApp::start().await;
    let admin = shop.staff(agape::features::auth::Role::Admin).await;
    for sku in ["T-3", "T-77", "T-78", "T-250"] {
        shop.product(&admin, sku, 5, 1).await;
    }
    let rows: Vec<String> = (0..300).map(|n| format!("t-{n},T {n},T-{n},5\n")).collect();
    let file = format!("Handle,Title,Variant SKU,Variant Price\n{}", rows.concat());
    let settings = ImportSettings { dry_run: true, format: None };
    let dry = import_products(&shop.app, &file.as_bytes(), settings, |_| {}).await.unwrap();
    let report = import(&shop, &file).await;
    for report in [&dry, &report] {
        assert_eq!(counts(report), (296, 0, 0, 4));
        let refused: Vec<_> = report.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        assert_eq!(refused.iter().map(|problem| problem.row).collect::<Vec<_>>(), [5, 79, 80, 252]);
        assert!(refused.iter().all(|problem| problem.message.contains("sku")), "{:#?}", report.problems);
    }
    assert_eq!(shop.database.count("select count(*) from products").await, 300);
    assert_ledger(&shop).await;
}

/// A report keeps a thousand problems and counts all.
#[tokio::test]
async fn a_report_has_a_limit() {
    let shop = TestApp::start().await;
    let rows: Vec<String> = (0..1_200).map(|n| format!("t-{n},T {n},free,1\n")).collect();
    let report = import(&shop, &format!("Handle,Title,Variant Price,Variant Inventory Qty\n{}", rows.concat())).await;
    assert_eq!((report.refused, report.problems.len(), report.problems_left_out), (1_200, 1_000, 200));
}

/// Two imports of one file at the same time end with each product once, and neither reports an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_imports_of_one_file_take_turns() {
    let shop = TestApp::start().await;
    let rows: Vec<String> = (0..500).map(|n| format!("t-{n},T {n},T-{n},5,Cloth {}\n", n % 7)).collect();
    let file = format!("Handle,Title,Variant SKU,Variant Price,Type\n{}", rows.concat());
    let bytes = file.as_bytes();
    let run = || import_products(&shop.app, &bytes, ImportSettings::default(), |_| {});
    let (one, other) = tokio::join!(run(), run());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.created + other.created, one.unchanged + other.unchanged), (500, 500));
    assert_eq!((one.refused + other.refused, one.updated + other.updated), (0, 0));
    assert_eq!(shop.database.count("select count(*) from products").await, 500);
    assert_eq!(shop.database.count("select count(*) from categories").await, 7);
    assert_ledger(&shop).await;
}
