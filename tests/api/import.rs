//! Importing product files, from the bytes to the database.

use agape::features::auth::Role;
use agape::features::catalog::import::Severity;
use agape::features::catalog::{ImportReport, ImportSettings, import_products};
use serde_json::{Value, json};

use crate::concurrency::assert_ledger;
use crate::support::{Product, TestApp};

const HEAD: &str = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,\
                    Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Price,\
                    Variant Compare At Price,Variant Barcode,Image Src,Image Position,Image Alt Text\n";

/// Two colours of one cloth, and a scarf without options.
const CLOTHS: &str = "kente,Kente,<p>Woven.</p>,Bonwire,Cloth,\"gold, new\",true,Colour,Gold,K-G,900,shopify,5,100.50,120,,https://cdn.example/a.jpg,1,Front\n\
                      kente,,,,,,,,Blue,K-B,900,shopify,3,110,,,https://cdn.example/b.jpg,2,\n\
                      scarf,Scarf,,,Scarves,,true,Title,Default Title,,100,shopify,7,20,,,,,\n";

async fn import(shop: &TestApp, rows: &str) -> ImportReport {
    import_bytes(shop, format!("{HEAD}{rows}").as_bytes(), false).await
}

async fn import_bytes(shop: &TestApp, file: &[u8], dry_run: bool) -> ImportReport {
    import_products(&shop.app, &file, ImportSettings { dry_run, format: None }, |_| {}).await.unwrap()
}

/// Created, updated, unchanged, refused.
fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.created, report.updated, report.unchanged, report.refused)
}

/// Rows of the errors, each with the start of its message.
fn errors(report: &ImportReport) -> Vec<(u64, String)> {
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| (problem.row, problem.message.clone())).collect()
}

async fn product(shop: &TestApp, slug: &str) -> Value {
    shop.get(&format!("/products/{slug}")).send().await.expect(200)["product"].clone()
}

/// Skus and stock of a product's variants.
fn stock(product: &Value) -> Vec<(String, i64)> {
    let variants = product["variants"].as_array().unwrap().iter();
    variants.map(|v| (v["sku"].as_str().unwrap().to_owned(), v["inventory"].as_i64().unwrap())).collect()
}

fn is(sku: &str, units: i64) -> (String, i64) {
    (sku.to_owned(), units)
}

/// A file becomes products with variants, pictures, categories and stock; the same file again changes nothing.
#[tokio::test]
async fn a_file_becomes_products_once() {
    let shop = TestApp::start().await;
    let report = import(&shop, CLOTHS).await;
    assert_eq!((counts(&report), report.variants, report.images), ((2, 0, 0, 0), 3, 2));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_ledger(&shop).await;
    let kente = product(&shop, "kente").await;
    for (field, value) in [
        ("title", json!("Kente")),
        ("description", json!("Woven.")),
        ("vendor", json!("Bonwire")),
        ("tags", json!(["gold", "new"])),
        ("price", json!(100.5)),
        ("compareAtPrice", json!(120)),
        ("inventory", json!(8)),
        ("weight", json!(900)),
        ("version", json!(1)),
    ] {
        assert_eq!(kente[field], value, "{field}");
    }
    assert_eq!(kente["category"]["slug"], "cloth");
    assert_eq!(kente["images"][0]["url"], "https://cdn.example/a.jpg");
    assert_eq!((&kente["images"][0]["type"], &kente["images"][0]["alt"]), (&json!("main"), &json!("Front")));
    assert_eq!(stock(&kente), [is("K-G", 5), is("K-B", 3)]);
    assert_eq!(kente["variants"][1]["priceModifier"], 9.5);
    let scarf = product(&shop, "scarf").await;
    assert_eq!((stock(&scarf), &scarf["variants"][0]["options"]), (vec![is("SCARF", 7)], &json!([])));

    let before = shop.database.text("select string_agg(p::text, '' order by id) from products p").await;
    let report = import(&shop, CLOTHS).await;
    assert_eq!((counts(&report), report.variants, report.images), ((0, 0, 2, 0), 3, 2));
    // Rows that have moved, as an export with another product in front, are the same products.
    let moved = format!("first,First,,,,,true,,,F,,shopify,1,1,,,,,\n{CLOTHS}");
    assert_eq!(counts(&import(&shop, &moved).await), (1, 0, 2, 0));
    let after = shop
        .database
        .text("select string_agg(p::text, '' order by id) from products p where import_handle <> 'first'")
        .await;
    assert_eq!(before, after);
    assert_ledger(&shop).await;
}

/// A changed file changes what it names and nothing else: prices follow, stock that was sold stays sold.
#[tokio::test]
async fn a_changed_file_updates_without_resetting_stock() {
    let shop = TestApp::start().await;
    import(&shop, CLOTHS).await;
    let kente = product(&shop, "kente").await;
    let gold = Product {
        id: kente["id"].as_str().unwrap().into(),
        slug: "kente".into(),
        variant: kente["variants"][0]["id"].as_str().unwrap().into(),
    };
    let ama = shop.customer("ama@example.com").await;
    shop.order(&ama, &gold, 2).await;
    assert_eq!(stock(&product(&shop, "kente").await), [is("K-G", 3), is("K-B", 3)]);
    let report = import(&shop, &CLOTHS.replace("100.50", "99")).await;
    assert_eq!(counts(&report), (0, 1, 1, 0));
    let changed = product(&shop, "kente").await;
    assert_eq!((&changed["price"], &changed["version"]), (&json!(99), &json!(2)));
    assert_eq!(
        (&changed["id"], &changed["slug"], &changed["createdAt"]),
        (&kente["id"], &kente["slug"], &kente["createdAt"])
    );
    assert_eq!(stock(&changed), [is("K-G", 3), is("K-B", 3)]);
    assert_eq!(changed["variants"][0]["id"], kente["variants"][0]["id"]);
    assert_ledger(&shop).await;
}

/// A variant that leaves the file is no longer for sale; when it comes back it is the same one with its stock.
#[tokio::test]
async fn a_variant_leaves_and_comes_back() {
    let shop = TestApp::start().await;
    import(&shop, CLOTHS).await;
    let before = product(&shop, "kente").await;
    let blue = CLOTHS.lines().nth(1).unwrap();
    let report = import(&shop, &CLOTHS.replace(&format!("{blue}\n"), "")).await;
    assert_eq!(counts(&report), (0, 1, 1, 0));
    assert_eq!(stock(&product(&shop, "kente").await), [is("K-G", 5)]);
    assert_eq!(shop.database.count("select count(*) from variants where archived_at is not null").await, 1);
    let body = json!({"variantId": before["variants"][1]["id"], "quantity": 1});
    let answer = shop.post("/cart/items").json(&body).send().await;
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    assert_eq!(counts(&import(&shop, &CLOTHS.replace("shopify,3,", "shopify,9,")).await), (0, 1, 1, 0));
    let after = product(&shop, "kente").await;
    assert_eq!(stock(&after), [is("K-G", 5), is("K-B", 3)], "an old export does not reset the stock");
    assert_eq!(after["variants"][1]["id"], before["variants"][1]["id"]);
    // Two variants may exchange their options.
    let swapped = CLOTHS.replace(",Gold,", ",Mid,").replace(",Blue,", ",Gold,").replace(",Mid,", ",Blue,");
    let report = import(&shop, &swapped).await;
    assert_eq!(counts(&report), (0, 1, 1, 0), "{:?}", report.problems);
    let names: Vec<_> =
        product(&shop, "kente").await["variants"].as_array().unwrap().iter().map(|v| v["value"].clone()).collect();
    assert_eq!(names, ["Blue", "Gold"]);
    assert_ledger(&shop).await;
}

/// A dry run tells what would happen and stores nothing.
#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let shop = TestApp::start().await;
    let rows = format!("{CLOTHS}bad,Bad,,,,,true,,,B,,shopify,1,free,,,,,\n");
    let report = import_bytes(&shop, format!("{HEAD}{rows}").as_bytes(), true).await;
    assert_eq!(counts(&report), (2, 0, 0, 1));
    assert_eq!(errors(&report)[0].0, 5);
    for sql in [
        "select count(*) from products",
        "select count(*) from variants",
        "select count(*) from categories",
        "select count(*) from stock_movements",
    ] {
        assert_eq!(shop.database.count(sql).await, 0, "{sql}");
    }
    import(&shop, CLOTHS).await;
    let report = import_bytes(&shop, format!("{HEAD}{}", CLOTHS.replace("100.50", "99")).as_bytes(), true).await;
    assert_eq!(counts(&report), (0, 1, 1, 0));
    assert_eq!(product(&shop, "kente").await["price"], 100.5);
}

/// A bad row is named by its number, and keeps out its own product only.
#[tokio::test]
async fn a_bad_row_keeps_out_only_its_product() {
    let shop = TestApp::start().await;
    let rows = format!(
        "{CLOTHS}\
         free,Free,,,,,true,,,F-1,,shopify,1,gratis,,,,,\n\
         less,Less,,,,,true,,,L-1,,shopify,1,-5,,,,,\n\
         half,Half,,,,,true,Size,S,H-S,,shopify,1,5,,,,,\n\
         half,,,,,,,,M,H-M,,shopify,many,5,,,,,\n\
         long,Long,,,,,true,,,{},,shopify,1,5,,,,,\n\
         rich,Rich,,,,,true,,,R-1,,shopify,1,20000000000,,,,,\n\
         wide,Wide,,,{},,true,,,W-1,,shopify,1,5,,,,,\n\
         short,Short\n\
         ,No handle,,,,,true,,,N-1,,shopify,1,5,,,,,\n\
         last,Last,,,,,true,,,Z-1,,shopify,1,5,,,,,\n",
        "x".repeat(65),
        "c".repeat(121),
    );
    let report = import(&shop, &rows).await;
    let rows: Vec<u64> = errors(&report).iter().map(|(row, _)| *row).collect();
    assert_eq!(counts(&report), (3, 0, 0, 8), "{:#?}", report.problems);
    for row in [5, 6, 8, 9, 10, 11, 12, 13] {
        assert!(rows.contains(&row), "row {row} is missing in {:#?}", report.problems);
    }
    assert!(rows.iter().all(|row| (5..=13).contains(row)), "{rows:?}");
    assert_eq!(shop.database.count("select count(*) from products").await, 3);
    assert_eq!(product(&shop, "last").await["price"], 5);
    assert_ledger(&shop).await;
}

/// What is no product file is refused as a whole, in words that say what to do.
#[tokio::test]
async fn a_file_that_is_none_is_refused() {
    let shop = TestApp::start().await;
    let refusal = async |file: &[u8]| {
        import_products(&shop.app, &file, ImportSettings::default(), |_| {}).await.unwrap_err().to_string()
    };
    assert!(refusal(b"").await.contains("empty"));
    assert!(refusal(HEAD.as_bytes()).await.contains("no products"));
    assert!(refusal(b"PK\x03\x04rest of a workbook").await.contains("not a CSV file"));
    let message = refusal(b"Handle,Title\nkente,Kente\n").await;
    assert!(message.contains("lacks") && message.contains("Price"), "{message}");
    let message = refusal(b"Name,Cost\nkente,1\n").await;
    assert!(message.contains("not the headings") && message.contains("Name, Cost"), "{message}");
    assert!(refusal(b"\xff\xfeH\0a\0n\0d\0l\0e\0").await.contains("not"), "UTF-16");
    assert_eq!(shop.database.count("select count(*) from products").await, 0);
}

/// A byte-order mark, line ends of Windows, line breaks in cells and barcodes that a spreadsheet ruined.
#[tokio::test]
async fn files_that_went_through_a_spreadsheet_are_read() {
    let shop = TestApp::start().await;
    let rows = "kente,Kente,\"<p>One</p>\r\n<p>Two, three</p>\",,Cloth,,true,Colour,Gold,K-G,,shopify,5,100,,8.71234E+12,,,\r\n\
                kente,,,,,,,,\"Blue\r\nand white\",K-B,,shopify,3,110,,8712345678906,,,\r\n\
                \r\n\
                scarf,\"Scarf, \"\"silk\"\"\",,,,,true,,,S-1,,shopify,1,free,,,,,\r\n";
    let file = format!("\u{feff}{}{rows}", HEAD.replace('\n', "\r\n"));
    let report = import_bytes(&shop, file.as_bytes(), false).await;
    assert_eq!(counts(&report), (1, 0, 0, 1), "{:#?}", report.problems);
    let kente = product(&shop, "kente").await;
    let text = kente["description"].as_str().unwrap();
    assert!(text.contains("One") && text.contains("Two, three") && !text.contains('<'), "{text}");
    assert_eq!(kente["variants"][1]["value"], "Blue and white");
    let barcode =
        shop.database.text("select string_agg(coalesce(barcode, '-'), ' ' order by position) from variants").await;
    assert_eq!(barcode.as_deref(), Some("- 8712345678906"));
    let ruined: Vec<_> = report.problems.iter().filter(|p| p.severity == Severity::Warning).collect();
    assert_eq!((ruined[0].row, ruined[0].column.as_deref()), (2, Some("Variant Barcode")));
    assert!(ruined[0].message.contains("8.71234E+12"), "{}", ruined[0].message);
    assert_eq!(errors(&report)[0].0, 5, "the empty line counts, line breaks in cells do not");
}

/// A sku or an address that another product has refuses the product, and nothing of it stays.
#[tokio::test]
async fn a_clash_with_another_product_leaves_nothing_behind() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    shop.product(&admin, "K-B", 1, 4).await;
    let body = json!({"sku": "X", "title": "X", "slug": "scarf", "price": 1});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let report = import(&shop, &format!("{CLOTHS}last,Last,,,,,true,,,Z-1,,shopify,1,5,,,,,\n")).await;
    assert_eq!(counts(&report), (1, 0, 0, 2), "{:#?}", report.problems);
    let errors = errors(&report);
    assert!(errors[0].0 == 2 && errors[0].1.contains("K-B"), "{errors:?}");
    assert!(errors[1].0 == 4 && errors[1].1.contains("slug"), "{errors:?}");
    assert_eq!(shop.database.count("select count(*) from products").await, 3);
    assert_eq!(shop.database.count("select count(*) from categories").await, 0);
    assert_eq!(shop.database.count("select count(*) from variants where sku = 'K-G'").await, 0);
    assert_eq!(
        shop.database
            .count(
                "select on_hand::bigint from stock_levels s join variants v on v.id = s.variant_id where sku = 'K-B'"
            )
            .await,
        4
    );
    // The same article number twice in one file.
    let report = import(&shop, "a,A,,,,,true,,,SAME,,shopify,1,5,,,,,\nb,B,,,,,true,,,SAME,,shopify,1,5,,,,,\n").await;
    assert_eq!(counts(&report), (1, 0, 0, 1));
    assert_ledger(&shop).await;
}

/// Products of one new category share it, whatever the case of its name.
#[tokio::test]
async fn products_share_a_new_category() {
    let shop = TestApp::start().await;
    let rows = "a,A,,,Aso-Oke,,true,,,A-1,,shopify,1,5,,,,,\nb,B,,,ASO OKE,,true,,,B-1,,shopify,1,5,,,,,\n";
    assert_eq!(counts(&import(&shop, rows).await), (2, 0, 0, 0));
    assert_eq!(shop.database.count("select count(*) from categories").await, 1);
    let listed = shop.get("/products?category=aso-oke").send().await.expect(200);
    assert_eq!(listed["products"].as_array().unwrap().len(), 2);
}

/// Variants without article numbers get their own, also where their values have no letters to make one of.
#[tokio::test]
async fn variants_without_skus_get_their_own() {
    let shop = TestApp::start().await;
    let rows = "kente,Kente,,,,,true,Colour,Gold,,,shopify,1,5,,,,,\n\
                kente,,,,,,,,Gold!,,,shopify,2,5,,,,,\n\
                kente,,,,,,,,金,,,shopify,3,5,,,,,\n\
                kente,,,,,,,,銀,,,shopify,4,5,,,,,\n\
                kente,,,,,,,,Blue,KENTE-RED,,shopify,5,5,,,,,\n\
                kente,,,,,,,,Red,,,shopify,6,5,,,,,\n";
    let report = import(&shop, rows).await;
    assert_eq!(counts(&report), (1, 0, 0, 0), "{:#?}", report.problems);
    let first = stock(&product(&shop, "kente").await);
    assert_eq!(first.iter().map(|(_, units)| *units).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    // The same values give the same numbers again.
    assert_eq!(counts(&import(&shop, &rows.replace("5,5,,", "5,6,,")).await), (0, 1, 0, 0));
    assert_eq!(stock(&product(&shop, "kente").await), first);
    // Long handles that begin alike are told apart.
    let long = "x".repeat(100);
    let rows = format!("{long}-a,A,,,,,true,,,,,shopify,1,5,,,,,\n{long}-b,B,,,,,true,,,,,shopify,1,5,,,,,\n");
    let report = import(&shop, &rows).await;
    assert_eq!(counts(&report), (2, 0, 0, 0), "{:#?}", report.problems);
}

/// What the staff removed stays removed, also where the file says something new about it, which is taken over; the report
/// says so. Only AGAPE's own form can say that it comes back.
#[tokio::test]
async fn a_removed_product_stays_removed() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    import(&shop, CLOTHS).await;
    let id = product(&shop, "kente").await["id"].as_str().unwrap().to_owned();
    shop.delete(&format!("/products/{id}")).token(&admin).send().await.expect(200);
    for (file, expected) in [
        (CLOTHS.to_owned(), (0, 0, 2, 0)),
        (CLOTHS.replace(",Kente,", ",Kente cloth,"), (0, 1, 1, 0)),
        (CLOTHS.replace(",Kente,", ",Kente cloth,"), (0, 0, 2, 0)),
    ] {
        let report = import(&shop, &file).await;
        assert_eq!(counts(&report), expected);
        let [told] = &report.problems[..] else { panic!("{:?}", report.problems) };
        assert_eq!((told.row, told.severity), (2, Severity::Warning));
        assert!(told.message.contains("was removed from the shop. It stays removed"), "{}", told.message);
        shop.get("/products/kente").send().await.expect_error(404, "NOT_FOUND");
    }
    let title = "select title from products where archived_at is not null";
    assert_eq!(shop.database.text(title).await.as_deref(), Some("Kente cloth"));

    let own = |restore: &str| {
        format!(
            "Slug,Title,Restore,Option 1 Name,Option 1 Value,Variant SKU,Variant Price,Variant Stock\n\
             kente,Kente cloth,{restore},Colour,Gold,K-G,100,5\nkente,,,Colour,Blue,K-B,110,3\n"
        )
    };
    let report = import_bytes(&shop, own("").as_bytes(), false).await;
    assert_eq!((counts(&report), report.problems.len()), ((0, 1, 0, 0), 1), "{:?}", report.problems);
    shop.get("/products/kente").send().await.expect_error(404, "NOT_FOUND");
    // A file that is known says it too.
    for expected in [(0, 1, 0, 0), (0, 0, 1, 0)] {
        let report = import_bytes(&shop, own("TRUE").as_bytes(), false).await;
        assert_eq!((counts(&report), report.problems.len()), (expected, 0), "{:?}", report.problems);
        assert_eq!(product(&shop, "kente").await["title"], "Kente cloth");
    }
    assert_ledger(&shop).await;
}

/// Other numbers of stock change nothing, and are told: what was sold since the export is known here only.
#[tokio::test]
async fn stock_of_what_is_there_is_not_taken_over() {
    let shop = TestApp::start().await;
    import(&shop, CLOTHS).await;
    let before = product(&shop, "kente").await;
    let file = CLOTHS.replace("shopify,5,", "shopify,9,");
    for dry_run in [true, false] {
        let report = import_bytes(&shop, format!("{HEAD}{file}").as_bytes(), dry_run).await;
        assert_eq!((counts(&report), report.stock_kept), ((0, 0, 2, 0), 1), "{:?}", report.problems);
        let [told] = &report.problems[..] else { panic!("{:?}", report.problems) };
        assert_eq!((told.row, told.severity), (2, Severity::Warning));
        assert!(told.message.starts_with("K-G: the file counts 9, the shop 5."), "{}", told.message);
    }
    assert_eq!(product(&shop, "kente").await, before, "neither stock nor version");
    // Where something else changed too, it is as before.
    let report = import(&shop, &file.replace("100.50", "99")).await;
    assert_eq!((counts(&report), report.stock_kept), ((0, 1, 1, 0), 1));
    assert_eq!(stock(&product(&shop, "kente").await), [is("K-G", 5), is("K-B", 3)]);
    // No number is no other number.
    let report = import(&shop, &CLOTHS.replace("shopify,5,", "shopify,,").replace("100.50", "99")).await;
    assert_eq!((counts(&report), report.stock_kept), ((0, 0, 2, 0), 0));
    // A few are named, all are counted.
    let many =
        |units: u32| (0..40).map(|n| format!("t-{n},T {n},,,,,true,,,T-{n},,shopify,{units},5,,,,,\n")).collect();
    let (first, second): (String, String) = (many(1), many(2));
    import(&shop, &first).await;
    let report = import(&shop, &second).await;
    assert_eq!((counts(&report), report.stock_kept, report.problems.len()), ((0, 0, 40, 0), 40, 20));
    assert_ledger(&shop).await;
}

/// Lists that shoppers have asked for have what an import brings, and do not wait for their age.
#[tokio::test]
async fn lists_have_what_was_imported() {
    let shop = TestApp::start().await;
    let total = async || shop.get("/products").send().await.body["pagination"]["total"].clone();
    assert_eq!((total().await, total().await), (json!(0), json!(0)));
    import(&shop, CLOTHS).await;
    assert_eq!(total().await, json!(2));
    import_bytes(&shop, format!("{HEAD}new,New,,,,,true,,,N-1,,shopify,1,5,,,,,\n").as_bytes(), true).await;
    assert_eq!(total().await, json!(2), "a dry run brings nothing");
    import(&shop, &CLOTHS.replace("Scarves,,true", "Scarves,,false")).await;
    assert_eq!(total().await, json!(1));
}

/// A file of some columns changes those, and leaves what staff wrote elsewhere.
#[tokio::test]
async fn columns_that_a_file_lacks_stay_as_they_are() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    import(&shop, CLOTHS).await;
    let kente = product(&shop, "kente").await;
    let change = json!({
        "version": 1, "shortDescription": "By hand.", "weaveOrigin": "Bonwire", "isFeatured": true, "isActive": false,
        "dimensions": {"width": 1.5, "unit": "yards"},
    });
    let path = format!("/products/{}", kente["id"].as_str().unwrap());
    shop.patch(&path).token(&admin).json(&change).send().await.expect(200);
    let few = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price\n\
               kente,Kente cloth,Colour,Gold,K-G,90\nkente,,,Blue,K-B,95\n";
    let report = import_bytes(&shop, few.as_bytes(), false).await;
    assert_eq!(counts(&report), (0, 1, 0, 0), "{:?}", report.problems);
    let after = shop.get(&format!("/admin{path}")).token(&admin).send().await.expect(200)["product"].clone();
    for (field, value) in [
        ("title", json!("Kente cloth")),
        ("price", json!(90)),
        ("shortDescription", json!("By hand.")),
        ("description", json!("Woven.")),
        ("vendor", json!("Bonwire")),
        ("tags", json!(["gold", "new"])),
        ("weaveOrigin", json!("Bonwire")),
        ("isFeatured", json!(true)),
        ("isActive", json!(false)),
        ("dimensions", json!({"width": 1.5, "unit": "yards"})),
        ("category", kente["category"].clone()),
    ] {
        assert_eq!(after[field], value, "{field}");
    }
    let pictures = |product: &Value| {
        product["images"].as_array().unwrap().iter().map(|image| image["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((pictures(&after), pictures(&after).len()), (pictures(&kente), 2));
    let variants =
        "select string_agg(concat_ws(' ', v.sku, v.price_minor, v.compare_at_minor, v.weight_grams), ', ' order by v.position)
                    from variants v join products p on p.id = v.product_id where p.slug = 'kente'";
    // The price to compare with is above the new price still, and goes where it is not.
    assert_eq!(shop.database.text(variants).await.as_deref(), Some("K-G 9000 12000 900, K-B 9500 900"));
    assert_eq!((&after["weight"], &after["compareAtPrice"]), (&json!(900), &json!(120)));
    assert_eq!(counts(&import_bytes(&shop, few.replace("K-G,90", "K-G,130").as_bytes(), false).await), (0, 1, 0, 0));
    assert_eq!(shop.database.text(variants).await.as_deref(), Some("K-G 13000 900, K-B 9500 900"));
    let own = "Slug,Title,Variant SKU,Variant Price\nscarf,Silk scarf,SCARF,21\n";
    assert_eq!(counts(&import_bytes(&shop, own.as_bytes(), false).await), (0, 1, 0, 0));
    let scarf = product(&shop, "scarf").await;
    assert_eq!((&scarf["title"], &scarf["category"]["slug"]), (&json!("Silk scarf"), &json!("scarves")));
}

/// A word that the shop's addresses need for something else cannot be a product's or a category's.
#[tokio::test]
async fn reserved_words_are_no_addresses() {
    let shop = TestApp::start().await;
    let rows = "search,S,,,,,true,,,S-1,,shopify,1,5,,,,,\nsuggestions,S,,,,,true,,,S-2,,shopify,1,5,,,,,\n\
                a,A,,,Order,,true,,,A-1,,shopify,1,5,,,,,\n";
    let report = import(&shop, rows).await;
    assert_eq!(counts(&report), (1, 0, 0, 2), "{:?}", report.problems);
    let found: Vec<_> = report.problems.iter().map(|problem| (problem.row, problem.column.as_deref())).collect();
    assert_eq!(found, [(2, Some("Handle")), (3, Some("Handle"))]);
    assert_eq!(product(&shop, "a").await["category"]["slug"], "order-2");
    let report = import(&shop, &rows.replace(",5,,", ",6,,")).await;
    assert_eq!(counts(&report), (0, 1, 0, 2), "{:?}", report.problems);
    assert_eq!(shop.database.count("select count(*) from categories").await, 1);
}

/// Drafts and unpublished products are imported, and shoppers do not see them.
#[tokio::test]
async fn unpublished_products_are_hidden() {
    let shop = TestApp::start().await;
    let rows = "kente,Kente,,,,,false,,,K-1,,shopify,1,5,,,,,\n";
    assert_eq!(counts(&import(&shop, rows).await), (1, 0, 0, 0));
    shop.get("/products/kente").send().await.expect_error(404, "NOT_FOUND");
    assert_eq!(counts(&import(&shop, &rows.replace("false", "true")).await), (0, 1, 0, 0));
    shop.get("/products/kente").send().await.expect(200);
}

/// A shop elsewhere may have more pictures of a product than this one keeps.
#[tokio::test]
async fn of_many_pictures_ten_are_kept() {
    let shop = TestApp::start().await;
    let mut rows =
        "scarf,Scarf,,,Scarves,,true,Title,Default Title,,100,shopify,7,20,,,https://cdn.example/0.jpg,1,\n".to_owned();
    for i in 1..13 {
        rows += &format!("scarf,,,,,,,,,,,,,,,,https://cdn.example/{i}.jpg,{},\n", i + 1);
    }
    let report = import(&shop, &rows).await;
    assert_eq!((counts(&report), report.images), ((1, 0, 0, 0), 10));
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    assert_eq!((problem.row, problem.severity), (12, Severity::Warning));
    assert_eq!(problem.message, "The product has 13 pictures; the first 10 are kept.");
    let images = product(&shop, "scarf").await["images"].clone();
    assert_eq!((images.as_array().unwrap().len(), &images[9]["url"]), (10, &json!("https://cdn.example/9.jpg")));
}
