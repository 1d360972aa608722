//! Exporting the catalogue, and importing it again to the letter.

use agape::features::auth::Role;
use agape::features::catalog::{ImportSettings, import_products};
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::TestApp;

async fn export(shop: &TestApp, token: &str, format: &str) -> String {
    let answer = shop.get(&format!("/admin/exports/products?format={format}")).token(token).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"products-") && disposition.contains(format));
    answer.text
}

/// A shop with everything a product can have, and texts that files do not like.
async fn awkward_shop(shop: &TestApp, admin: &str) {
    let category =
        shop.post("/categories").token(admin).json(&json!({"name": "Cloth, > all"})).send().await.expect(201);
    let parent = category["category"]["id"].clone();
    let body = json!({"name": "Wax \\ prints", "parentId": parent});
    let category = shop.post("/categories").token(admin).json(&body).send().await.expect(201);
    let body = json!({
        "sku": "=1+1", "title": "@Kente", "slug": "kente", "shortDescription": "'quoted", "description": "-one\r\ntwo\rthree\n",
        "fullStory": " \"spaces\", and ; and \t", "price": 100.5, "compareAtPrice": 120,
        "categoryId": category["category"]["id"], "tags": ["a,b", "c\\", "=x", "'y"], "weight": 900,
        "dimensions": {"width": 0.1, "length": 5.5, "unit": "yards"}, "weaveOrigin": "+Bonwire", "careInstructions": "'=wash",
        "dispatchTime": "3 days", "isFeatured": true, "isLimited": true, "isActive": false,
        "metadata": {"b": [1.50, null, "=2"], "a": {"x": true}},
        "images": [{"url": "https://a.example/1.jpg", "alt": "=front", "type": "main"},
                   {"url": "/media/demo/kente.png", "alt": ""}, {"url": "https://a.example/3.jpg", "alt": "x", "type": "lifestyle"}],
        "variants": [
            {"sku": "-K", "options": [{"name": "Colour", "value": "=Gold"}, {"name": "Size", "value": "'S"}], "price": 90,
             "compareAtPrice": 95.05, "inventory": 4, "image": "https://a.example/v.jpg"},
            {"sku": "K2", "options": [{"name": "Colour", "value": "Blue, red"}, {"name": "Size", "value": "S"}], "inventory": 0}],
    });
    shop.post("/products").token(admin).json(&body).send().await.expect(201);
    shop.product(admin, "PLAIN", 5, 3).await;
    let csv = "Handle,Title,Vendor,Variant SKU,Variant Barcode,Variant Price,Variant Inventory Qty\nlace,Lace,Row,L-1,0123,7,2\n";
    import_products(&shop.app, &csv.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
}

/// Both forms, imported into an empty shop, are exported as the same bytes, and imported where they came from they change no
/// product.
#[tokio::test]
async fn an_export_comes_back_to_the_letter() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    awkward_shop(&shop, &admin).await;
    let removed = shop.product(&admin, "GONE", 5, 3).await;
    shop.delete(&format!("/products/{}", removed.id)).token(&admin).send().await.expect(200);
    for format in ["csv", "jsonl"] {
        let first = export(&shop, &admin, format).await;
        assert!(!first.contains("GONE"));
        let empty = TestApp::start().await;
        let other = empty.staff(Role::Admin).await;
        let report = import_products(&empty.app, &first.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
        assert_eq!((report.created, report.problems.len()), (3, 0), "{:#?}", report.problems);
        assert_eq!(export(&empty, &other, format).await, first, "{format}");
        assert_ledger(&empty).await;
        // What else can be seen of the products is the same too.
        let all = "select jsonb_agg(to_jsonb(p) - '{id,category_id,import_handle,import_hash,created_at,updated_at,version}'::text[] \
                   order by p.id)::text from products p where archived_at is null";
        assert_eq!(empty.database.text(all).await, shop.database.text(all).await, "{format}");

        // Two of the products were made by hand: no file has said anything about them before.
        let before = export(&shop, &admin, "jsonl").await;
        let versions = "select string_agg(version || ' ' || updated_at, ', ' order by id) from products";
        let versions_before = shop.database.text(versions).await;
        let report = import_products(&shop.app, &first.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
        assert_eq!((report.unchanged, report.updated), (3, 0), "{:#?}", report.problems);
        assert_eq!((report.stock_kept, report.problems.len()), (0, 0), "{:#?}", report.problems);
        assert_eq!(shop.database.text(versions).await, versions_before);
        assert_eq!(export(&shop, &admin, "jsonl").await, before, "{format}");
        let report = import_products(&shop.app, &first.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
        assert_eq!((report.unchanged, report.updated), (3, 0));
        assert_ledger(&shop).await;
    }
}

/// Pictures of this server are exported with its address, so that another shop can fetch them, and are known again here.
#[tokio::test]
async fn pictures_are_exported_with_their_address() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({
        "sku": "K", "title": "Kente", "slug": "kente", "price": 5,
        "images": [{"url": "/media/demo/kente.png"}, {"url": "https://a.example/1.jpg"}],
        "variants": [{"sku": "K1", "options": [{"name": "Colour", "value": "Gold"}], "image": "/media/demo/adire.png"}],
    });
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let base = shop.app.config.public_url();
    let line: Value = serde_json::from_str(export(&shop, &admin, "jsonl").await.lines().next().unwrap()).unwrap();
    assert_eq!(line["images"][0]["url"], format!("{base}/media/demo/kente.png"));
    assert_eq!(line["images"][1]["url"], "https://a.example/1.jpg");
    assert_eq!(line["variants"][0]["image"], format!("{base}/media/demo/adire.png"));
    let text = export(&shop, &admin, "csv").await;
    assert!(
        text.contains(&format!("{base}/media/demo/kente.png"))
            && text.contains(&format!("{base}/media/demo/adire.png"))
    );
    let report = import_products(&shop.app, &text.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
    assert_eq!((report.unchanged, report.updated), (1, 0), "{:#?}", report.problems);
    let urls = "select string_agg(url, ' ' order by position) from product_images";
    assert_eq!(shop.database.text(urls).await.as_deref(), Some("/media/demo/kente.png https://a.example/1.jpg"));
}

/// No cell of an export is run by a spreadsheet; numbers are numbers.
#[tokio::test]
async fn no_cell_is_a_formula() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    awkward_shop(&shop, &admin).await;
    let text = export(&shop, &admin, "csv").await;
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let headings = csv.headers().unwrap().clone();
    let mut rows = 0;
    for record in csv.records() {
        rows += 1;
        for (heading, cell) in headings.iter().zip(&record.unwrap()) {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{heading}: {cell}");
            let is_number = ["Price", "Compare-at Price", "Variant Price", "Variant Stock", "Weight (g)", "Width"];
            if is_number.contains(&heading) && !cell.is_empty() {
                assert!(cell.parse::<f64>().is_ok(), "{heading}: {cell}");
            }
        }
    }
    assert_eq!(rows, 5, "three pictures, and one row each");
    let lines: Vec<Value> =
        export(&shop, &admin, "jsonl").await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["sku"], &lines[0]["price"]), (&json!("=1+1"), &json!(100.5)));
}

/// An export of more products than are read at once has each of them once, and a wrong format is told.
#[tokio::test]
async fn a_long_export_is_complete() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Merchant).await;
    assert_eq!(export(&shop, &admin, "jsonl").await, "");
    assert_eq!(export(&shop, &admin, "csv").await.lines().count(), 1, "the headings");
    let rows: Vec<String> = (0..200).map(|n| format!("t-{n},T {n},5\n")).collect();
    let file = format!("Handle,Title,Variant Price\n{}", rows.concat());
    import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
    let lines = export(&shop, &admin, "jsonl").await;
    let slugs: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["slug"].clone()).collect();
    assert_eq!(slugs, (0..200).map(|n| json!(format!("t-{n}"))).collect::<Vec<_>>());
    let answer = shop.get("/admin/exports/products?format=xlsx").token(&admin).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["format"]);
}
