//! The tree of categories: its shape, its slugs, its counts, and who changes it at the same time as somebody else.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

async fn create(shop: &TestApp, staff: &str, body: Value) -> Value {
    shop.post("/categories").token(staff).json(&body).send().await.expect(201)["category"].clone()
}

async fn named(shop: &TestApp, staff: &str, name: &str, parent: &Value) -> Value {
    create(shop, staff, json!({"name": name, "parentId": parent["id"]})).await
}

fn path(category: &Value) -> String {
    format!("/categories/{}", category["id"].as_str().unwrap())
}

async fn patch(shop: &TestApp, staff: &str, category: &Value, body: Value) -> Answer {
    shop.patch(&path(category)).token(staff).json(&body).send().await
}

async fn read(shop: &TestApp, category: &Value) -> Value {
    shop.get(&path(category)).send().await.expect(200)["category"].clone()
}

/// The slugs of the flat list with their depths, in its order.
async fn outline(shop: &TestApp) -> Vec<(String, i64)> {
    let data = shop.get("/categories").send().await.expect(200);
    let text = |category: &Value| category["slug"].as_str().unwrap().to_owned();
    data["categories"].as_array().unwrap().iter().map(|c| (text(c), c["depth"].as_i64().unwrap())).collect()
}

fn at(slug: &str, depth: i64) -> (String, i64) {
    (slug.to_owned(), depth)
}

/// Cloth > Kente > Royal, Cloth > Lace; Fashion.
async fn planted(shop: &TestApp, staff: &str) -> [Value; 5] {
    let none = Value::Null;
    let cloth = named(shop, staff, "Cloth", &none).await;
    let fashion = named(shop, staff, "Fashion", &none).await;
    let kente = named(shop, staff, "Kente", &cloth).await;
    let lace = named(shop, staff, "Lace", &cloth).await;
    let royal = named(shop, staff, "Royal", &kente).await;
    [cloth, kente, royal, lace, fashion]
}

/// The list is in the order of the tree; as a tree each has its children; one has its subtree and those above it.
#[tokio::test]
async fn the_tree_is_shown_flat_and_nested() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, kente, royal, ..] = planted(&shop, &admin).await;
    assert_eq!((&royal["depth"], &royal["version"], &royal["parentId"]), (&json!(2), &json!(1), &kente["id"]));
    let expected = [at("cloth", 0), at("kente", 1), at("royal", 2), at("lace", 1), at("fashion", 0)];
    assert_eq!(outline(&shop).await, expected);
    let data = shop.get("/categories?tree=true").send().await.expect(200);
    let tree = data["categories"].as_array().unwrap();
    let slugs = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|c| c["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(slugs(&data["categories"]), ["cloth", "fashion"]);
    assert_eq!(slugs(&tree[0]["children"]), ["kente", "lace"]);
    assert_eq!(slugs(&tree[0]["children"][0]["children"]), ["royal"]);
    assert_eq!(tree[1]["children"], json!([]));
    let data = shop.get("/categories/royal").send().await.expect(200);
    assert_eq!(
        (&data["category"]["id"], slugs(&data["ancestors"])),
        (&royal["id"], vec!["cloth".into(), "kente".into()])
    );
    let data = shop.get(&path(&cloth)).send().await.expect(200);
    assert_eq!(
        (slugs(&data["category"]["children"]), &data["ancestors"]),
        (vec!["kente".into(), "lace".into()], &json!([]))
    );
    for name in ["nothing", "Cloth", "00000000-0000-7000-8000-000000000000"] {
        shop.get(&format!("/categories/{name}")).send().await.expect_error(404, "NOT_FOUND");
    }
    let answer = shop.get("/categories?tree=maybe").send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["tree"]);
}

/// Categories are renamed, moved and put in order; what is based on an old version is refused.
#[tokio::test]
async fn categories_are_changed_and_moved() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, kente, royal, lace, fashion] = planted(&shop, &admin).await;
    let changed = patch(&shop, &admin, &kente, json!({"version": 1, "name": "Kente cloth"})).await.expect(200);
    let changed = &changed["category"];
    assert_eq!(
        (&changed["name"], &changed["slug"], &changed["version"]),
        (&json!("Kente cloth"), &json!("kente"), &json!(2))
    );
    patch(&shop, &admin, &kente, json!({"version": 1, "name": "Old"})).await.expect_error(409, "CONFLICT");
    // With all that is below it.
    patch(&shop, &admin, &kente, json!({"version": 2, "parentId": fashion["id"]})).await.expect(200);
    let expected = [at("cloth", 0), at("lace", 1), at("fashion", 0), at("kente", 1), at("royal", 2)];
    assert_eq!(outline(&shop).await, expected);
    patch(&shop, &admin, &royal, json!({"version": 1, "parentId": null, "order": 0})).await.expect(200);
    let order = json!({"ids": [fashion["id"], royal["id"], cloth["id"]]});
    let data = shop.put("/categories/order").token(&admin).json(&order).send().await.expect(200);
    assert_eq!(data["categories"].as_array().unwrap().len(), 5);
    let expected = [at("fashion", 0), at("kente", 1), at("royal", 0), at("cloth", 0), at("lace", 1)];
    assert_eq!(outline(&shop).await, expected);
    for (body, field) in [
        (json!({"ids": [fashion["id"], cloth["id"]]}), "ids"),
        (json!({"ids": [fashion["id"], royal["id"], royal["id"]]}), "ids"),
        (json!({"ids": [fashion["id"], royal["id"], cloth["id"], lace["id"]]}), "ids"),
        (json!({"parentId": cloth["id"], "ids": []}), "ids"),
        (json!({"parentId": "00000000-0000-7000-8000-000000000000", "ids": []}), "parentId"),
    ] {
        let answer = shop.put("/categories/order").token(&admin).json(&body).send().await;
        assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), [field], "{body}");
    }
    for (body, status, field) in [
        (json!({"name": "X"}), 400, "version"),
        (json!({"version": 1, "name": " "}), 400, "name"),
        (json!({"version": 1, "name": null}), 400, "name"),
        (json!({"version": 1, "slug": "A b"}), 400, "slug"),
        (json!({"version": 1, "slug": "order"}), 400, "slug"),
        (json!({"version": 1, "slug": "cloth"}), 409, "slug"),
        (json!({"version": 1, "order": -1}), 400, "order"),
        (json!({"version": 1, "productCount": 7}), 400, "productCount"),
        (json!({"version": 1, "parentId": "00000000-0000-7000-8000-000000000000"}), 400, "parentId"),
        (json!({"version": 1, "parentId": lace["id"]}), 409, "parentId"),
    ] {
        let code = if status == 409 { "CONFLICT" } else { "VALIDATION_ERROR" };
        assert_eq!(patch(&shop, &admin, &lace, body.clone()).await.expect_error(status, code), [field], "{body}");
    }
    let nobody = json!({"id": "00000000-0000-7000-8000-000000000000"});
    patch(&shop, &admin, &nobody, json!({"version": 1})).await.expect_error(404, "NOT_FOUND");
    assert_eq!(outline(&shop).await, expected);
}

/// No category comes below itself and none below the tenth level, whoever writes.
#[tokio::test]
async fn the_tree_stays_a_tree() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, kente, royal, ..] = planted(&shop, &admin).await;
    for (category, parent) in [(&cloth, &cloth), (&cloth, &kente), (&cloth, &royal), (&kente, &royal)] {
        let answer = patch(&shop, &admin, category, json!({"version": 1, "parentId": parent["id"]})).await;
        assert_eq!(answer.expect_error(409, "CONFLICT"), ["parentId"]);
    }
    for sql in [
        "update categories set parent_id = id where slug = 'cloth'",
        "update categories set parent_id = (select id from categories where slug = 'royal') where slug = 'cloth'",
        // Two at once, each below the other.
        "update categories c set parent_id = o.id from categories o
         where (c.slug, o.slug) in (('fashion', 'cloth'), ('cloth', 'fashion'))",
    ] {
        let error = sqlx::query(sql).execute(&shop.database.pool).await.unwrap_err();
        let constraint = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("categories_no_cycle"), "{sql}: {error}");
    }
    let mut deepest = royal.clone();
    for level in 4..=10 {
        deepest = named(&shop, &admin, &format!("Level {level}"), &deepest).await;
    }
    assert_eq!(deepest["depth"], 9);
    let body = json!({"name": "Eleventh", "parentId": deepest["id"]});
    let answer = shop.post("/categories").token(&admin).json(&body).send().await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["parentId"]);
    // Nor by moving a tree down.
    let top = named(&shop, &admin, "Top", &Value::Null).await;
    let answer = patch(&shop, &admin, &cloth, json!({"version": 1, "parentId": top["id"]})).await;
    assert_eq!(answer.expect_error(409, "CONFLICT"), ["parentId"]);
    patch(&shop, &admin, &kente, json!({"version": 1, "parentId": top["id"]})).await.expect(200);
    let place = format!("{}?moveTo={}", path(&cloth), deepest["id"].as_str().unwrap());
    assert_eq!(shop.delete(&place).token(&admin).send().await.expect_error(409, "CONFLICT"), ["moveTo"]);
    assert_eq!(outline(&shop).await.len(), 13);
}

/// Two who move two categories below each other at the same moment: one is refused, and the tree stays one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_moves_make_no_cycle() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for round in 0..6 {
        let mut three = Vec::new();
        for name in ["A", "B", "C"] {
            three.push(named(&shop, &admin, &format!("{name}{round}"), &Value::Null).await);
        }
        let moves = (0..3)
            .map(|i| patch(&shop, &admin, &three[i], json!({"version": 1, "parentId": three[(i + 1) % 3]["id"]})));
        let answers = join_all(moves).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 2, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.expect_error(409, "CONFLICT"), ["parentId"]);
        }
    }
    // The same past the program: the lock is in the database.
    sqlx::query("update categories set parent_id = null").execute(&shop.database.pool).await.unwrap();
    let below = "update categories set parent_id = (select id from categories where slug = $2) where slug = $1";
    let moves = [("a0", "b0"), ("b0", "a0")]
        .map(|(one, other)| sqlx::query(below).bind(one).bind(other).execute(&shop.database.pool));
    let done = join_all(moves).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{done:?}");
    assert_eq!(outline(&shop).await.len(), 18, "all are reached from the top");
    // Of two changes based on the same version one wins.
    let category = named(&shop, &admin, "Z", &Value::Null).await;
    let changes = (0..6).map(|i| patch(&shop, &admin, &category, json!({"version": 1, "name": format!("Z{i}")})));
    let answers = join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
}

/// Slugs are made of names, with numbers where they are taken; old ones lead to the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slugs_of_categories() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let body = json!({"name": "Àṣọ-Òkè"});
    let made = join_all((0..5).map(|_| shop.post("/categories").token(&admin).json(&body).send())).await;
    let mut slugs: Vec<_> =
        made.into_iter().map(|answer| answer.expect(201)["category"]["slug"].as_str().unwrap().to_owned()).collect();
    slugs.sort();
    assert_eq!(slugs, ["aso-oke", "aso-oke-2", "aso-oke-3", "aso-oke-4", "aso-oke-5"]);
    assert_eq!(create(&shop, &admin, json!({"name": "Order"})).await["slug"], "order-2");
    for (body, status, field) in [
        (json!({"name": "X", "slug": "aso-oke"}), 409, "slug"),
        (json!({"name": "X", "slug": "order"}), 400, "slug"),
        (json!({"name": "布"}), 400, "slug"),
        (json!({"name": "X", "parentId": "00000000-0000-7000-8000-000000000000"}), 400, "parentId"),
        (json!({"name": "x".repeat(121)}), 400, "name"),
    ] {
        let code = if status == 409 { "CONFLICT" } else { "VALIDATION_ERROR" };
        let answer = shop.post("/categories").token(&admin).json(&body).send().await;
        assert_eq!(answer.expect_error(status, code), [field], "{body}");
    }
    let lace = create(&shop, &admin, json!({"name": "Lace", "slug": "swiss-lace"})).await;
    patch(&shop, &admin, &lace, json!({"version": 1, "slug": "lace"})).await.expect(200);
    let answer = shop.get("/categories/swiss-lace").send().await;
    assert_eq!((answer.status, answer.header("location").as_deref()), (308, Some("/api/v1/categories/lace")));
    create(&shop, &admin, json!({"name": "Other", "slug": "swiss-lace"})).await;
    assert_eq!(shop.get("/categories/swiss-lace").send().await.expect(200)["category"]["name"], "Other");
}

/// A category with something in it is removed only together with where that goes; links with its slugs go along.
#[tokio::test]
async fn the_content_of_a_removed_category_moves() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, kente, royal, lace, fashion] = planted(&shop, &admin).await;
    let product = |sku: &str, category: &Value| {
        let body = json!({"sku": sku, "title": sku, "price": 1, "categoryId": category["id"]});
        let call = shop.post("/products").token(&admin).json(&body);
        async move { call.send().await.expect(201)["product"].clone() }
    };
    let (shown, archived) = (product("A", &kente).await, product("B", &kente).await);
    let place = |product: &Value| format!("/products/{}", product["id"].as_str().unwrap());
    shop.delete(&place(&archived)).token(&admin).send().await.expect(200);
    let delete = async |category: &Value, query: &str| {
        shop.delete(&format!("{}{query}", path(category))).token(&admin).send().await
    };
    assert_eq!(delete(&cloth, "").await.expect_error(409, "CONFLICT"), ["moveTo"]);
    assert_eq!(delete(&kente, "").await.expect_error(409, "CONFLICT"), ["moveTo"]);
    let to = |category: &Value| format!("?moveTo={}", category["id"].as_str().unwrap());
    for (target, status) in [
        (to(&kente), 400),
        (to(&royal), 400),
        ("?moveTo=00000000-0000-7000-8000-000000000000".to_owned(), 400),
        ("?moveTo=fashion".to_owned(), 400),
    ] {
        assert_eq!(delete(&kente, &target).await.expect_error(status, "VALIDATION_ERROR"), ["moveTo"], "{target}");
    }
    delete(&kente, &format!("{}&version=7", to(&fashion))).await.expect_error(409, "CONFLICT");
    let cached = shop.get(&place(&shown)).send().await.expect(200)["product"].clone();
    assert_eq!(cached["category"]["slug"], "kente");
    patch(&shop, &admin, &kente, json!({"version": 1, "slug": "kente-cloth"})).await.expect(200);
    assert_eq!(shop.get(&place(&shown)).send().await.expect(200)["product"]["category"]["slug"], "kente-cloth");
    delete(&kente, &format!("{}&version=2", to(&fashion))).await.expect(200);
    let moved = shop.get(&place(&shown)).send().await.expect(200)["product"].clone();
    assert_eq!((&moved["category"]["slug"], &moved["version"]), (&json!("fashion"), &json!(2)));
    let expected = [at("cloth", 0), at("lace", 1), at("fashion", 0), at("royal", 1)];
    assert_eq!(outline(&shop).await, expected);
    for slug in ["kente", "kente-cloth"] {
        let answer = shop.get(&format!("/categories/{slug}")).send().await;
        assert_eq!(answer.header("location").as_deref(), Some("/api/v1/categories/fashion"), "{slug}");
    }
    delete(&lace, "").await.expect(200);
    delete(&lace, "").await.expect_error(404, "NOT_FOUND");
    // The archived product holds its category.
    delete(&royal, "").await.expect(200);
    shop.delete(&place(&shown)).token(&admin).send().await.expect(200);
    assert_eq!(delete(&fashion, "").await.expect_error(409, "CONFLICT"), ["moveTo"]);
    delete(&fashion, &to(&cloth)).await.expect(200);
    assert_eq!(
        shop.database.count("select count(*) from products p join categories c on c.id = p.category_id").await,
        2
    );
}

/// The count of a category is the number of its products for sale, whatever is done to them, one by one or many at once.
#[tokio::test]
async fn counts_follow_the_products() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, kente, royal, lace, _] = planted(&shop, &admin).await;
    let mut products = Vec::new();
    for (i, category) in [&kente, &kente, &royal, &cloth, &Value::Null].iter().enumerate() {
        let body = json!({"sku": format!("S{i}"), "title": "P", "price": 1, "categoryId": category["id"]});
        let product = shop.post("/products").token(&admin).json(&body).send().await.expect(201)["product"].clone();
        products.push(product);
    }
    // [direct, with descendants] of cloth, kente, royal, lace.
    let counts = async || {
        let mut counts = Vec::new();
        for category in [&cloth, &kente, &royal, &lace] {
            let category = read(&shop, category).await;
            counts.push([category["productCount"].as_i64().unwrap(), category["totalProductCount"].as_i64().unwrap()]);
        }
        counts
    };
    assert_eq!(counts().await, [[1, 4], [2, 3], [1, 1], [0, 0]]);
    let place = |i: usize| format!("/products/{}", products[i]["id"].as_str().unwrap());
    let change = async |i: usize, body: Value| {
        shop.patch(&place(i)).token(&admin).json(&body).send().await.expect(200);
    };
    change(0, json!({"version": 1, "isActive": false})).await;
    assert_eq!(counts().await, [[1, 3], [1, 2], [1, 1], [0, 0]]);
    change(0, json!({"version": 2, "categoryId": lace["id"]})).await;
    assert_eq!(counts().await, [[1, 3], [1, 2], [1, 1], [0, 0]], "it is hidden");
    change(0, json!({"version": 3, "isActive": true})).await;
    assert_eq!(counts().await, [[1, 4], [1, 2], [1, 1], [1, 1]]);
    change(0, json!({"version": 4, "categoryId": null})).await;
    change(4, json!({"version": 1, "categoryId": royal["id"], "title": "Q"})).await;
    assert_eq!(counts().await, [[1, 4], [1, 3], [2, 2], [0, 0]]);
    let ids: Vec<_> = products.iter().map(|product| product["id"].clone()).collect();
    let bulk = async |body: Value| {
        shop.post("/admin/products/bulk").token(&admin).json(&body).send().await.expect(200);
    };
    bulk(json!({"action": "setCategory", "categoryId": lace["id"], "ids": ids})).await;
    assert_eq!(counts().await, [[0, 5], [0, 0], [0, 0], [5, 5]]);
    bulk(json!({"action": "archive", "ids": ids[..2]})).await;
    assert_eq!(counts().await, [[0, 3], [0, 0], [0, 0], [3, 3]]);
    bulk(json!({"action": "restore", "ids": ids[..2]})).await;
    assert_eq!(counts().await, [[0, 3], [0, 0], [0, 0], [3, 3]], "restored ones are hidden");
    // A tree that moves takes its counts along.
    patch(&shop, &admin, &lace, json!({"version": 1, "parentId": royal["id"]})).await.expect(200);
    assert_eq!(counts().await, [[0, 3], [0, 3], [0, 3], [3, 3]]);
    // Rows that come and go past the program count too.
    for sql in [
        "insert into products (id, sku, title, slug, currency, price_minor, category_id, created_at, updated_at)
         select gen_random_uuid(), 'R' || n, 'R', 'r-' || n, 'NGN', 1, (select id from categories where slug = 'kente'),
                now(), now() from generate_series(1, 9) n",
        "delete from products where sku in ('R1', 'R2')",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    }
    assert_eq!(counts().await, [[0, 10], [7, 10], [0, 3], [3, 3]]);
}

/// A category with very many products is removed in steps that last. Whoever is interrupted finds the rest where it was, and goes on
/// by doing the same again; every step is on record.
#[tokio::test]
async fn a_large_category_is_removed_in_steps() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let [cloth, _, _, lace, fashion] = planted(&shop, &admin).await;
    for sql in [
        "insert into products (id, sku, title, slug, currency, price_minor, category_id, created_at, updated_at)
         select ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'S' || n, 'S', 's-' || n, 'NGN', 1,
                (select id from categories where slug = 'lace'), now(), now()
         from generate_series(1, 4500) n",
        "create function fail() returns trigger language plpgsql as $$ begin raise exception 'out of order'; end $$",
        "create trigger fail before update on products for each row when (new.sku = 'S3000') execute function fail()",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    }
    let counts = async || {
        (read(&shop, &lace).await["productCount"].clone(), read(&shop, &fashion).await["productCount"].clone())
    };
    let remove = format!("{}?moveTo={}", path(&lace), fashion["id"].as_str().unwrap());
    assert_eq!(shop.delete(&remove).token(&admin).send().await.status, 500);
    assert_eq!(counts().await, (json!(2_500), json!(2_000)));
    sqlx::query("drop trigger fail on products").execute(&shop.database.pool).await.unwrap();
    shop.delete(&remove).token(&admin).send().await.expect(200);
    assert_eq!(read(&shop, &fashion).await["productCount"], 4_500);
    assert_eq!(read(&shop, &cloth).await["totalProductCount"], 0);
    let entries = "select string_agg(action, ' ' order by seq) from audit_log
                   where action in ('category.move_products', 'category.delete')";
    assert_eq!(
        shop.database.text(entries).await.unwrap(),
        "category.move_products category.move_products category.delete"
    );
}
