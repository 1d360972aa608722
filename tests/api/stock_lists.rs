//! Lists of what is in stock, and of what is not: what they read, and that they are right whoever changes stock.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::lists::{SORTS, end_connections, many, skus};
use crate::support::TestApp;

/// Products whose kept fact differs from what their variants have.
const WRONG: &str = "select count(*) from product_stock f join products p on p.id = f.product_id
                     where f.in_stock <> exists (select from variants v join stock_levels s on s.variant_id = v.id
                                                 where v.product_id = p.id and v.archived_at is null
                                                   and s.on_hand > s.reserved)
                        or (f.is_listed, f.created_at, f.price_minor, f.title, f.popularity)
                           is distinct from (p.is_active and p.archived_at is null, p.created_at, p.price_minor,
                                             fold(p.title), p.popularity)";

async fn execute(shop: &TestApp, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&shop.database.pool).await.unwrap();
}

/// What little is in stock is read from an index in every order, wherever it stands: here behind 29,800 products without stock, or
/// before them. The database's own statistics say how many products were read.
#[tokio::test]
async fn little_stock_is_found_without_reading_all_products() {
    let mut shop = TestApp::start().await;
    many(&shop, 30_000).await;
    for stocked in ["n.n <= 100", "n.n > 29900"] {
        execute(
            &shop,
            &format!(
                "update stock_levels s set on_hand = 1 from variants v, generate_series(1, 30000) n
                 where v.id = s.variant_id and v.sku = 'S' || n.n and {stocked}"
            ),
        )
        .await;
    }
    execute(&shop, "vacuum analyze").await;
    shop.database.report_reads().await;
    let read = "select idx_tup_fetch + seq_tup_read from pg_stat_user_tables where relname = 'products'";
    let before = shop.database.count(read).await;
    let mut lists = 0;
    for sort in SORTS {
        for filter in ["inStock=true", "inStock=true&category=c-3", "inStock=true&facets=true"] {
            let answer = shop.get(&format!("/products?{sort}&{filter}&limit=15")).send().await;
            let total = if filter.contains("category") { 20 } else { 200 };
            assert_eq!(answer.body["pagination"]["total"], total, "{sort} {filter}");
            let next = answer.body["pagination"]["nextCursor"].as_str().unwrap().to_owned();
            let first = answer.expect(200);
            let second =
                shop.get(&format!("/products?{sort}&{filter}&limit=15&cursor={next}")).send().await.expect(200);
            assert!(skus(&first).iter().all(|sku| !skus(&second).contains(sku)), "{sort} {filter}");
            lists += 2;
        }
    }
    end_connections(&mut shop).await;
    let read = shop.database.count(read).await - before;
    // A list reads its part and counts 200; facets look at these four times.
    assert!(read < lists * 1_000, "{lists} lists read {read} products");
    // Last, because it reads all products itself.
    assert_eq!(shop.database.count(WRONG).await, 0);
}

/// `inStock` divides the products in two, through orders that take the last piece and are cancelled, archived variants, and stock that
/// goes away. Buying one of many writes to no product and to no fact.
#[tokio::test]
async fn the_last_piece_moves_a_product() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 3).await;
    shop.product(&admin, "B", 1_000, 0).await;
    let ama = shop.customer("ama@example.com").await;
    let list = async |in_stock: bool| {
        skus(&shop.get(&format!("/products?inStock={in_stock}&sortBy=title")).send().await.expect(200))
    };
    let halves = async || (list(true).await.join(" "), list(false).await.join(" "));
    let (rows, facts) = (
        "select string_agg(ctid::text || xmin, ' ' order by id) from products",
        "select string_agg(ctid::text || xmin, ' ' order by product_id) from product_stock",
    );
    let before = (shop.database.text(rows).await, shop.database.text(facts).await);
    assert_eq!(halves().await, ("A".to_owned(), "B".to_owned()));
    shop.order(&ama, &product, 2).await;
    assert_eq!((shop.database.text(rows).await, shop.database.text(facts).await), before);
    let last = shop.order(&ama, &product, 1).await;
    assert_eq!(halves().await, (String::new(), "A B".to_owned()));
    assert_eq!(shop.database.text(rows).await, before.0);
    let cancel = format!("/orders/{}/cancel", last["id"].as_str().unwrap());
    shop.post(&cancel).token(&ama).json(&json!({})).send().await.expect(200);
    assert_eq!(halves().await, ("A".to_owned(), "B".to_owned()));
    for (sql, wrong_in_stock) in [
        ("update variants set archived_at = now() where sku = 'A'", 0),
        ("update variants set archived_at = null where sku = 'A'", 1),
        ("delete from stock_levels where variant_id in (select id from variants where sku = 'A')", 0),
        ("insert into stock_levels (variant_id, on_hand) select id, 1 from variants where sku = 'A'", 1),
        ("update products set price_minor = 5, title = 'Ä', is_active = false where sku = 'A'", 1),
    ] {
        execute(&shop, sql).await;
        assert_eq!(shop.database.count(WRONG).await, 0, "{sql}");
        let in_stock = shop.database.count("select count(*) from product_stock where in_stock").await;
        assert_eq!(in_stock, wrong_in_stock, "{sql}");
    }
}

/// Whoever takes, gives back, archives and edits at the same time: in the end every fact is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_leaves_the_facts_right() {
    let shop = TestApp::start().await;
    let admin = shop.staff(Role::Admin).await;
    for product in 0..3 {
        let variants: Vec<_> = (0..3)
            .map(|i| {
                let options = json!([{"name": "Size", "value": i.to_string()}]);
                json!({"sku": format!("P{product}-{i}"), "inventory": 1, "options": options})
            })
            .collect();
        let body = json!({"sku": format!("P{product}"), "title": "Kente", "price": 100, "variants": variants});
        shop.post("/products").token(&admin).json(&body).send().await.expect(201);
    }
    // Each takes or gives back the only piece of two variants, in the order of their ids; some change the products meanwhile.
    let turn = |worker: usize, step: usize| {
        let (one, other) = ((worker * 7 + step * 5) % 9, (worker * 4 + step * 7 + 1) % 9);
        match (worker + step) % 5 {
            0 => format!(
                "update variants set archived_at = case when archived_at is null then now() end
                 where id = (select id from variants order by id offset {one} limit 1)"
            ),
            1 => format!("update products set price_minor = price_minor + 1 where sku = 'P{}'", one % 3),
            _ => format!(
                "with locked as (
                   select variant_id from stock_levels
                   where variant_id in (select id from variants order by id offset {one} limit 1)
                      or variant_id in (select id from variants order by id offset {other} limit 1)
                   order by variant_id for update)
                 update stock_levels s set reserved = on_hand - reserved from locked where s.variant_id = locked.variant_id"
            ),
        }
    };
    let work = (0..8).map(|worker| {
        let pool = shop.database.pool.clone();
        async move {
            let mut done = 0;
            for step in 0..60 {
                // Some end in a deadlock, which the database notices: nothing of them stays.
                match sqlx::query(AssertSqlSafe(turn(worker, step))).execute(&pool).await {
                    Ok(_) => done += 1,
                    Err(error) => {
                        let code =
                            error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
                        assert_eq!(code.as_deref(), Some("40P01"), "{error}");
                    }
                }
            }
            done
        }
    });
    let done: usize = join_all(work).await.into_iter().sum();
    assert!(done > 400, "only {done} of 480 were done");
    assert_eq!(shop.database.count(WRONG).await, 0);
}
