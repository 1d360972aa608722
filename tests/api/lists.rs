//! Lists of products: deep ones, counted ones, narrowed ones, and what the database does for them.

use std::collections::BTreeSet;

use agape::features::auth::Role;
use agape::flows::popularity::CountPopularity;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::TestApp;

pub fn skus(data: &Value) -> Vec<String> {
    data["products"].as_array().unwrap().iter().map(|p| p["sku"].as_str().unwrap().to_owned()).collect()
}

/// Many products, of which several have the same time, price and title.
pub async fn many(shop: &TestApp, count: i64) {
    let sql = format!(
        "with c as (insert into categories (id, name, slug, created_at)
                    select gen_random_uuid(), 'C' || n, 'c-' || n, now() from generate_series(0, 9) n returning id, name),
         p as (
           insert into products (id, sku, title, slug, currency, price_minor, category_id, tags, created_at, updated_at,
                                 popularity, short_description)
           select ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'S' || n, 'Cloth ' || n / 3, 'cloth-' || n, 'NGN', n / 4 * 100, c.id,
                  array['t' || n % 50], timestamptz '2026-01-01 00:00:00.123456Z' + n / 5 * interval '1 second', now(),
                  case when n % 70 = 0 then n / 70 else 0 end, case when n % 1000 = 0 then 'a needle' else 'hay' end
           from generate_series(1, {count}) n join c on c.name = 'C' || n % 10 returning id, sku),
         v as (
           insert into variants (id, product_id, sku, options, price_minor, position)
           select gen_random_uuid(), id, sku, jsonb_build_array(jsonb_build_object('name', 'Colour', 'value',
                    (array['Red', 'Blue', 'Green'])[1 + length(sku) % 3])), 100, 0 from p returning id),
         s as (insert into stock_levels (variant_id) select id from v)
         insert into product_images (id, product_id, url, position)
         select gen_random_uuid(), id, '/media/demo/' || sku || '.png', 0 from p"
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&shop.database.pool).await.unwrap();
    sqlx::query("analyze").execute(&shop.database.pool).await.unwrap();
}

pub const SORTS: [&str; 7] = [
    "sortBy=newest",
    "sortBy=created_at&sortOrder=asc",
    "sortBy=price",
    "sortBy=price&sortOrder=desc",
    "sortBy=title",
    "sortBy=title&sortOrder=desc",
    "sortBy=popular",
];

/// With a cursor a list is walked to its end in the order of its pages: nothing twice, nothing left out, although keys are
/// equal and products come and go meanwhile.
#[tokio::test]
async fn a_cursor_walks_the_whole_list() {
    let shop = TestApp::start().await;
    many(&shop, 43).await;
    for sort in SORTS {
        let whole = skus(&shop.get(&format!("/products?{sort}&limit=100")).send().await.expect(200));
        assert_eq!(whole.len(), 43);
        let mut walked = Vec::new();
        let mut cursor = String::new();
        for step in 0.. {
            assert!(step < 20, "{sort} has no end");
            let answer = shop.get(&format!("/products?{sort}&limit=5{cursor}")).send().await;
            let pagination = answer.body["pagination"].clone();
            let after_first = step > 0;
            assert_eq!(pagination["total"].is_null(), after_first, "{pagination}");
            assert_eq!(pagination["page"].is_null(), after_first, "{pagination}");
            walked.extend(skus(&answer.expect(200)));
            match pagination["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{sort}");
    }
    // What is left out of the list or added before the place changes nothing behind it.
    let first = shop.get("/products?sortBy=price&limit=10").send().await;
    let next = first.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let behind = skus(&shop.get(&format!("/products?sortBy=price&limit=10&cursor={next}")).send().await.expect(200));
    let last = skus(&first.expect(200)).pop().unwrap();
    sqlx::query("update products set archived_at = now() where sku = $1")
        .bind(last)
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let again = shop.get(&format!("/products?sortBy=price&limit=10&cursor={next}")).send().await.expect(200);
    assert_eq!(skus(&again), behind);
}

/// A cursor of another order, an invented one, and one beside a page are refused, and say what to do.
#[tokio::test]
async fn wrong_cursors_are_refused() {
    let shop = TestApp::start().await;
    many(&shop, 10).await;
    let answer = shop.get("/products?sortBy=price&limit=2").send().await;
    let cursor = answer.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    for query in [
        format!("cursor={cursor}"),
        format!("sortBy=title&cursor={cursor}"),
        format!("sortBy=price&sortOrder=desc&cursor={cursor}"),
        format!("search=cloth&cursor={cursor}"),
        format!("sortBy=newest&cursor={cursor}"),
        "cursor=x".into(),
        "cursor=%F0%9F%A7%B5".into(),
        format!("cursor={}", "A".repeat(5_000)),
    ] {
        let answer = shop.get(&format!("/products?{query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["cursor"], "{query}");
    }
    let answer = shop.get(&format!("/products?sortBy=price&page=2&cursor={cursor}")).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"]);
    shop.get(&format!("/products?sortBy=price&cursor={cursor}&minPrice=1")).send().await.expect(200);
}

/// Stops the shop: a connection reports what it has read when it ends.
pub async fn end_connections(shop: &mut TestApp) {
    shop.stop().await;
    shop.app.db.close().await;
    let others = "select count(*) from pg_stat_activity
                  where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
                    and application_name <> ''";
    shop.wait_for("the connections to end", || async { (shop.database.count(others).await == 0).then_some(()) }).await;
}

async fn walk(shop: &TestApp, path: &str) -> Vec<String> {
    let mut walked = Vec::new();
    let mut cursor = String::new();
    for step in 0.. {
        assert!(step < 200, "{path} has no end");
        let answer = shop.get(&format!("{path}{cursor}")).send().await;
        let next = answer.body["pagination"]["nextCursor"].as_str().map(str::to_owned);
        walked.extend(skus(&answer.expect(200)));
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    walked
}

/// A search is walked in the order of its pages, nothing twice and nothing left out, also where more match than are ranked: then those
/// with the word in the title come first.
#[tokio::test]
async fn a_cursor_walks_a_whole_search() {
    let shop = TestApp::start().await;
    many(&shop, 10_500).await;
    for query in ["search=needle", "search=cloth 12", "search=clooth 12", "search=needle&inStock=false", "search=S77"] {
        let whole = skus(&shop.get(&format!("/products?{query}&limit=100")).send().await.expect(200));
        let walked = walk(&shop, &format!("/products?{query}&limit=60")).await;
        assert_eq!(walked[..whole.len().min(100)], whole, "{query}");
        assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "{query}");
    }
    let same =
        (walk(&shop, "/products/search?q=needle&limit=5").await, walk(&shop, "/products?search=needle&limit=5").await);
    assert_eq!(same.0, same.1);
    // All have it in their titles.
    let all = walk(&shop, "/products?search=cloth&limit=100").await;
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (10_500, 10_500));
    // Some have it in their titles, and most in their texts.
    sqlx::query("update products set title = 'Hay ' || title where sku like 'S5__'")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let all = walk(&shop, "/products?search=hay&limit=100").await;
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (10_490, 10_490));
    assert!(all[..100].iter().all(|sku| sku.len() == 4 && sku.starts_with("S5")), "{:?}", &all[..100]);
    let pages = [
        skus(&shop.get("/products?search=hay&limit=60&page=1").send().await.expect(200)),
        skus(&shop.get("/products?search=hay&limit=60&page=2").send().await.expect(200)),
    ];
    assert_eq!(pages.concat(), all[..120], "a page goes on behind the last title");
    let answer = shop.get("/products/search?q=cloth&limit=100&page=101").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"]);
    assert!(answer.text.contains("`cursor`"), "{}", answer.text);
}

/// What changes while a search is walked is met or missed itself, and nothing else is.
#[tokio::test]
async fn a_walked_search_survives_changes() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for i in 0..30 {
        let body = json!({"sku": format!("N{i}"), "title": format!("Needle {}", "x".repeat(i)), "price": 1});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    let first = shop.get("/products?search=needle&limit=10").send().await;
    let next = first.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let seen = skus(&first.expect(200));
    for (sku, sql) in [
        (&seen[9], "update products set archived_at = now() where sku = $1"),
        (&seen[3], "update products set title = 'Pin' where sku = $1"),
    ] {
        sqlx::query(sql).bind(sku).execute(&shop.database.pool).await.unwrap();
    }
    let body = json!({"sku": "NEW", "title": "Needle", "price": 1});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let rest = walk(&shop, &format!("/products?search=needle&limit=30&cursor={next}")).await;
    let mut all = [seen, rest].concat();
    all.sort();
    let mut expected: Vec<String> = (0..30).map(|i| format!("N{i}")).collect();
    expected.sort();
    assert_eq!(all, expected);
}

/// Tags are asked for in any case, and may have commas. A category may be named by a slug that it had before.
#[tokio::test]
async fn filters_take_what_people_write() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Cloth"})).send().await.expect(201);
    let category = category["category"]["id"].as_str().unwrap().to_owned();
    for (sku, tags, category) in [
        ("A", json!(["Red, white", "Gold"]), Some(&category)),
        ("B", json!(["red", "GOLD"]), None),
        ("C", json!([r"a\b"]), None),
    ] {
        let body = json!({"sku": sku, "title": sku, "price": 1, "tags": tags, "categoryId": category});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    let list = async |query: &str| {
        skus(&shop.get(&format!("/products?sortBy=title&{query}")).send().await.expect(200)).join(" ")
    };
    for (query, expected) in [
        ("tags=gold", "A B"),
        ("tags=red", "B"),
        (r"tags=red\, White", "A"),
        (r"tags=RED\, WHITE,red", "A B"),
        (r"tags=A\\B", "C"),
        ("tags=red%5C%2C%20white", "A"),
    ] {
        assert_eq!(list(query).await, expected, "{query}");
    }
    let facets = shop.get("/products?facets=true").send().await.expect(200)["facets"]["tags"].clone();
    let gold = facets.as_array().unwrap().iter().find(|tag| tag["value"].as_str().unwrap().to_lowercase() == "gold");
    assert_eq!(gold.unwrap()["count"], 2, "{facets}");
    let rename = json!({"version": 1, "slug": "fabrics"});
    shop.patch(&format!("/categories/{category}")).token(&admin).json(&rename).send().await.expect(200);
    for slug in ["cloth", "fabrics"] {
        assert_eq!(list(&format!("category={slug}")).await, "A", "{slug}");
        let staff = shop.get(&format!("/admin/products?category={slug}")).token(&admin).send().await;
        assert_eq!(skus(&staff.expect(200)), ["A"], "{slug}");
    }
    // The old name leads there until another category takes it. Lists that are kept in memory hear of that.
    shop.post("/categories").token(&admin).json(&json!({"name": "Cloth"})).send().await.expect(201);
    assert_eq!(list("category=cloth").await, "");
    let cloth = shop.get("/categories/cloth").send().await.expect(200)["category"]["id"].clone();
    let below = json!({"version": 2, "parentId": cloth});
    shop.patch(&format!("/categories/{category}")).token(&admin).json(&below).send().await.expect(200);
    assert_eq!(list("category=cloth").await, "A", "a moved category takes its products along");
    for (query, field) in [
        ("search=%25", "search"),
        ("sortBy=popular&sortOrder=asc", "sortOrder"),
        ("search=a&sortOrder=asc", "sortOrder"),
        ("inStock=1", "inStock"),
    ] {
        let answer = shop.get(&format!("/products?{query}")).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{query}");
    }
}

/// Of more than 10,000 matches facets look at some that are drawn evenly, and say so: the oldest and the newest count alike.
#[tokio::test]
async fn facets_of_very_many_are_an_even_sample() {
    let shop = TestApp::start().await;
    many(&shop, 20_000).await;
    sqlx::query("update products set tags = array[case when created_at < (select percentile_disc(0.5) within group (order by created_at) from products) then 'old' else 'new' end]")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let facets = shop.get("/products?facets=true").send().await.expect(200)["facets"].clone();
    assert_eq!(facets["isPartial"], true);
    let counts: Vec<i64> =
        facets["tags"].as_array().unwrap().iter().map(|tag| tag["count"].as_i64().unwrap()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<i64>()), (2, 10_000));
    // Four standard deviations of such a sample.
    assert!(counts.iter().all(|count| (4_800..5_200).contains(count)), "{facets}");
}

/// A large list is not counted to its end, and not paged to it; small ones are exact however they are asked for.
#[tokio::test]
async fn large_lists_are_estimated() {
    let shop = TestApp::start().await;
    many(&shop, 12_000).await;
    let answer = shop.get("/products?limit=10").send().await;
    let pagination = &answer.body["pagination"];
    assert_eq!(pagination["totalIsEstimate"], true);
    assert!((10_001..20_000).contains(&pagination["total"].as_i64().unwrap()), "{pagination}");
    let answer = shop.get("/products?limit=10&category=c-3").send().await;
    let pagination = &answer.body["pagination"];
    assert_eq!((&pagination["total"], &pagination["totalIsEstimate"]), (&json!(1_200), &Value::Null));
    let answer = shop.get("/products?limit=100&page=500").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"]);
    let answer = shop.get("/products?limit=100&page=500&category=c-3").send().await;
    assert_eq!(answer.body["pagination"]["total"], 1_200);
    assert_eq!(answer.expect(200)["products"], json!([]));
}

/// No list, however it is filtered and sorted, reads a big table from end to end: the database's own statistics say how many
/// rows were read in their order on the disk. Counting stops at 10,000 of the 30,000.
#[tokio::test]
async fn no_list_reads_a_big_table_to_the_end() {
    let mut shop = TestApp::start().await;
    many(&shop, 30_000).await;
    sqlx::query("vacuum analyze").execute(&shop.database.pool).await.unwrap();
    shop.database.report_reads().await;
    let id = shop.database.text("select id::text from products where sku = 'S77'").await.unwrap();
    let scans = "select seq_scan from pg_stat_user_tables where relname = 'products'";
    let rows = "select seq_tup_read from pg_stat_user_tables where relname = 'products'";
    let mut queries: Vec<String> = SORTS.iter().map(|sort| format!("?{sort}&limit=20")).collect();
    for sort in SORTS {
        let answer = shop.get(&format!("/products?{sort}&limit=20&page=3")).send().await;
        queries.push(format!("?{sort}&cursor={}", answer.body["pagination"]["nextCursor"].as_str().unwrap()));
    }
    queries.extend(
        [
            "?category=c-3",
            "?category=c-3&sortBy=price",
            "?minPrice=100&maxPrice=200",
            "?tags=t7",
            "?tags=t7&colors=red",
            "?colors=blue&sortBy=popular",
            "?isFeatured=false",
            "?search=needle",
            "?search=cloth 77",
            "?search=clooth",
            "?search=S77",
            "?search=cloth&category=c-3&sortBy=price",
            "/search?q=clo&limit=10",
            "/search?q=zzzzz",
            "/suggestions?q=clot",
            "?facets=true&category=c-3",
            "?tags=T7",
            "?inStock=true",
            "?inStock=true&sortBy=price",
            "?inStock=false&sortBy=title",
            "?inStock=true&search=cloth&facets=true",
            "?search=S77-1",
        ]
        .map(str::to_owned),
    );
    queries.push(format!("/{id}/related"));
    queries.push(format!("/{id}"));
    queries.push("/cloth-77".to_owned());
    let before = (shop.database.count(scans).await, shop.database.count(rows).await);
    for query in &queries {
        shop.get(&format!("/products{query}")).send().await.expect(200);
    }
    end_connections(&mut shop).await;
    let scans = shop.database.count(scans).await - before.0;
    let rows = shop.database.count(rows).await - before.1;
    assert!(rows <= scans * 10_001, "{scans} scans read {rows} rows");
}

/// Facets count what each further choice would leave, and their own choice does not narrow them.
#[tokio::test]
async fn facets_count_what_is_left() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = async |name: &str| {
        let body = json!({"name": name});
        shop.post("/categories").token(&admin).json(&body).send().await.expect(201)["category"]["id"].clone()
    };
    let (cloth, lace) = (category("Cloth").await, category("Lace").await);
    for (sku, price, category, tags, colours, stock) in [
        ("A", 100, &cloth, json!(["new", "gold"]), &["Gold", "Blue"][..], 1),
        ("B", 200, &cloth, json!(["new"]), &["gold"], 0),
        ("C", 300, &lace, json!(["gold"]), &["White"], 2),
    ] {
        let variants: Vec<Value> = colours
            .iter()
            .map(|colour| {
                json!({"sku": format!("{sku}-{colour}"), "inventory": stock,
                       "options": [{"name": "Colour", "value": colour}]})
            })
            .collect();
        let body = json!({"sku": sku, "title": sku, "price": price, "categoryId": category, "tags": tags,
                          "variants": variants});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    let facets = async |query: &str| {
        shop.get(&format!("/products?facets=true&{query}")).send().await.expect(200)["facets"].clone()
    };
    let pairs = |values: &Value, name: &str| -> Vec<(String, i64)> {
        let values = values.as_array().unwrap().iter();
        values.map(|v| (v[name].as_str().unwrap().to_owned(), v["count"].as_i64().unwrap())).collect()
    };
    let owned = |pairs: &[(&str, i64)]| -> Vec<(String, i64)> {
        pairs.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect()
    };
    let all = facets("").await;
    assert_eq!(pairs(&all["categories"], "slug"), owned(&[("cloth", 2), ("lace", 1)]));
    assert_eq!(pairs(&all["tags"], "value"), owned(&[("gold", 2), ("new", 2)]));
    assert_eq!(pairs(&all["colors"], "value"), owned(&[("gold", 2), ("blue", 1), ("white", 1)]));
    assert_eq!(all["price"], json!({"min": 100, "max": 300}));
    assert_eq!((&all["inStock"], &all["isPartial"]), (&json!(2), &json!(false)));
    let gold = facets("colors=gold&tags=new").await;
    assert_eq!(pairs(&gold["colors"], "value"), owned(&[("gold", 2), ("blue", 1)]), "further colours can be chosen");
    assert_eq!(pairs(&gold["tags"], "value"), owned(&[("new", 2), ("gold", 1)]));
    assert_eq!(pairs(&gold["categories"], "slug"), owned(&[("cloth", 2)]));
    let cheap = facets("maxPrice=250&category=cloth").await;
    assert_eq!(cheap["price"], json!({"min": 100, "max": 200}));
    assert_eq!(pairs(&cheap["categories"], "slug"), owned(&[("cloth", 2)]));
    let none = facets("tags=nothing").await;
    assert_eq!(none["price"], json!({"min": null, "max": null}));
    assert!(shop.get("/products").send().await.expect(200).get("facets").is_none());
    let answer = shop.get("/products?facets=yes").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["facets"]);
}

/// The colours of a product are those of its live variants, whoever changes them and how.
#[tokio::test]
async fn colours_follow_the_variants() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({"sku": "A", "title": "A", "price": 1, "variants": [
        {"sku": "A1", "options": [{"name": "color", "value": "Red"}]},
        {"sku": "A2", "options": [{"name": "color", "value": "BLUE"}]}]});
    shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    let colours = async || shop.database.text("select array_to_string(colours, ' ') from products").await.unwrap();
    assert_eq!(colours().await, "blue red");
    for (sql, expected) in [
        ("update variants set archived_at = now() where sku = 'A1'", "blue"),
        ("update variants set options = '[{\"name\": \"Colour\", \"value\": \"Green\"}]' where sku = 'A2'", "green"),
        ("update variants set archived_at = null where sku = 'A1'", "green red"),
        ("delete from stock_levels where variant_id in (select id from variants where sku = 'A2')", "green red"),
    ] {
        // Stock is not a matter of colours; its ledger keeps a variant from being deleted.
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
        assert_eq!(colours().await, expected, "{sql}");
    }
}

/// What sells comes first in the order of popularity, as far as it was paid and not long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sells_is_popular() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let (a, b) = (shop.product(&admin, "A", 1_000, 50).await, shop.product(&admin, "B", 1_000, 50).await);
    shop.product(&admin, "C", 1_000, 50).await;
    let ama = shop.customer("ama@example.com").await;
    for (product, quantity, paid) in [(&a, 1, true), (&b, 3, true), (&a, 9, false)] {
        let order = shop.order(&ama, product, quantity).await;
        if paid {
            let payment = shop.initialize(&ama, &order).await;
            shop.pay(&payment).await;
            shop.wait_for_status(&ama, &order, "paid").await;
        }
    }
    let popular = async || skus(&shop.get("/products?sortBy=popular").send().await.expect(200));
    CountPopularity {}.run(&shop.app).await.unwrap();
    assert_eq!(popular().await, ["B", "A", "C"]);
    shop.app.clock.advance(TimeDelta::days(91));
    CountPopularity {}.run(&shop.app).await.unwrap();
    assert_eq!(popular().await, ["C", "B", "A"], "nothing was sold lately: the newest first");
}

/// Related are those with the most tags in common, then those of the category; what can be bought comes first.
#[tokio::test]
async fn related_products_have_something_in_common() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let category = shop.post("/categories").token(&admin).json(&json!({"name": "Cloth"})).send().await.expect(201);
    let category = category["category"]["id"].clone();
    for (sku, tags, of_category, stock) in [
        ("THIS", json!(["gold", "new", "bridal"]), true, 1),
        ("TWO", json!(["gold", "new"]), false, 1),
        ("ONE", json!(["gold"]), false, 1),
        ("SAME", json!([]), true, 1),
        ("GONE", json!(["gold", "new", "bridal"]), true, 0),
        ("OTHER", json!(["white"]), false, 1),
    ] {
        let mut body = json!({"sku": sku, "title": sku, "price": 1, "tags": tags, "inventory": stock});
        if of_category {
            body["categoryId"] = category.clone();
        }
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    let related = async |path: &str| skus(&shop.get(&format!("/products/{path}")).send().await.expect(200));
    assert_eq!(related("this/related").await, ["TWO", "ONE", "SAME", "GONE"]);
    assert_eq!(related("this/related?limit=2").await, ["TWO", "ONE"]);
    assert_eq!(related("other/related").await, Vec::<String>::new());
    shop.get("/products/nothing/related").send().await.expect_error(404, "NOT_FOUND");
    let answer = shop.get("/products/this/related?limit=0").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["limit"]);
}

/// Every product of a walk is seen once, also by two walkers at once.
#[tokio::test]
async fn two_walkers_do_not_disturb_each_other() {
    let shop = TestApp::start().await;
    many(&shop, 30).await;
    let walk = async |limit: u32| {
        let mut seen = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let answer = shop.get(&format!("/products?sortBy=title&limit={limit}{cursor}")).send().await;
            let next = answer.body["pagination"]["nextCursor"].as_str().map(str::to_owned);
            for sku in skus(&answer.expect(200)) {
                assert!(seen.insert(sku));
            }
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return seen.len(),
            }
        }
    };
    assert_eq!(tokio::join!(walk(7), walk(4)), (30, 30));
}

/// Lists are answered from memory until a product changes, and never once longer: not after a price, an order, a new product or
/// an archived one. Whoever has the list already is told so.
#[tokio::test]
async fn a_kept_list_is_never_old() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 9).await;
    let ama = shop.customer("ama@example.com").await;
    let list = async || shop.get("/products?limit=5").send().await;
    let first = async || list().await.expect(200)["products"][0].clone();
    let tag = list().await.header("etag").unwrap();
    let known = shop.get("/products?limit=5").header("if-none-match", &tag).send().await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    // What is changed past the program shows what was kept.
    sqlx::query("update products set title = 'Past the program'").execute(&shop.database.pool).await.unwrap();
    assert_eq!(first().await["title"], "Kente A");

    let path = format!("/products/{}", product.id);
    for price in 1..=20 {
        let body = json!({"version": price, "price": price});
        shop.patch(&path).token(&admin).json(&body).send().await.expect(200);
        assert_eq!(first().await["price"], price);
    }
    for left in [8, 7, 6] {
        shop.order(&ama, &product, 1).await;
        assert_eq!(first().await["inventory"], left);
    }
    let newer = shop.product(&admin, "B", 1_000, 9).await;
    assert_eq!(first().await["sku"], "B");
    shop.delete(&format!("/products/{}", newer.id)).token(&admin).send().await.expect(200);
    assert_eq!(first().await["sku"], "A");
    let known = shop.get("/products?limit=5").header("if-none-match", &tag).send().await;
    assert_eq!(known.status, 200);
}

/// Many who ask for the same list at once all get the same, and what is wrong is told to each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_the_same_list() {
    let shop = TestApp::start().await;
    many(&shop, 200).await;
    let asks = (0..100).map(|_| shop.get("/products?limit=100&sortBy=title").send());
    let answers = futures::future::join_all(asks).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text == answers[0].text));
    // A wrong one is refused to each who asks.
    let asks = (0..10).map(|_| shop.get("/products?page=0").send());
    for answer in futures::future::join_all(asks).await {
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["page"]);
    }
}
