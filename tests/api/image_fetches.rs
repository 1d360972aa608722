//! Pictures of an import are fetched and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agape::features::auth::Role;
use agape::features::catalog::{ImportSettings, import_products};
use agape::flows::fetch_images::FetchImages;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::TestApp;
use crate::support::pictures::jpeg;

/// A server with one picture at `/a.jpg`, which is busy at `/busy`, and has nothing else. Gives its address and how often it
/// was asked.
async fn server() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let picture = jpeg(20, 10);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 2048];
            let read = socket.read(&mut request).await.unwrap();
            let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap().to_owned();
            let (status, body) = match path.as_str() {
                "/a.jpg" => ("200 OK", &picture[..]),
                "/page.png" => ("200 OK\r\nContent-Type: image/png", &b"<html>not a picture</html>"[..]),
                "/busy" => ("503 Busy", &b""[..]),
                _ => ("404 Not Found", &b""[..]),
            };
            let _ = socket.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await;
            let _ = socket.write_all(body).await;
        }
    });
    (format!("http://{address}"), asked)
}

/// Has what waits done, by this call or by a worker who was faster.
async fn fetch(shop: &TestApp) {
    FetchImages {}.run(&shop.app).await.unwrap();
    shop.wait_for_jobs().await;
}

/// Pictures are kept with their variants, faults are noted, what may work later is tried again, and an import of the same
/// pictures does not fetch them again.
#[tokio::test]
async fn pictures_are_fetched_once() {
    let shop = TestApp::with(|config| config.imports.private_networks = vec!["127.0.0.1".parse().unwrap()]).await;
    let (base, asked) = server().await;
    let asked = || asked.load(Ordering::Relaxed);
    let file = |title: &str| {
        format!(
            "Handle,Title,Variant Price,Image Src,Variant Image\n\
             kente,{title},5,{base}/a.jpg,{base}/a.jpg\nkente,,,{base}/page.png,\nkente,,,{base}/missing.png,\n\
             kente,,,{base}/busy,\nkente,,,http://10.0.0.1/x.png,\nkente,,,/media/demo/kente.png,\n"
        )
    };
    let import = async |title: &str| {
        let file = file(title);
        import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap()
    };
    assert_eq!(import("Kente").await.images, 6);
    fetch(&shop).await;
    assert_eq!(asked(), 4);
    fetch(&shop).await;
    assert_eq!(asked(), 4, "the busy one comes later");
    let states = "select string_agg(concat_ws(' ', fetch_status, fetch_tries, fetch_error), ', ' order by position)
                  from product_images";
    let told = shop.database.text(states).await.unwrap();
    let (first, rest) = told.split_once(", ").unwrap();
    assert_eq!(first, "kept 0");
    assert!(rest.starts_with("failed 1 ") && !rest.starts_with("failed 1 the server"), "{told}");
    let end = "failed 1 the server answers 404, waiting 1 the server answers 503, failed 1 it leads into a network that is \
               not public, 0";
    assert!(told.ends_with(end), "{told}");
    let kente = shop.get("/products/kente").send().await.expect(200)["product"].clone();
    let kept = kente["images"][0]["url"].as_str().unwrap();
    assert!(kept.contains("/media/") && !kept.starts_with(&base), "{kept}");
    assert!(kente["images"][0]["presets"]["card"].is_string(), "{kente:#}");
    assert_eq!(kente["variants"][0]["image"], kept);
    let picture = shop.get(&format!("/{}", kept.strip_prefix(&shop.url).unwrap())).send().await;
    assert_eq!((picture.status, picture.header("content-type").as_deref()), (200, Some("image/jpeg")));
    for n in 1..=3 {
        shop.app.clock.advance(TimeDelta::minutes(10));
        fetch(&shop).await;
        assert_eq!(asked(), 4 + n);
    }
    shop.app.clock.advance(TimeDelta::days(1));
    fetch(&shop).await;
    assert_eq!(asked(), 7, "after four tries it is given up");
    assert_eq!(shop.database.count("select count(*) from product_images where fetch_status = 'failed'").await, 4);

    assert_eq!(import("Kente cloth").await.updated, 1);
    fetch(&shop).await;
    assert_eq!(asked(), 7);
    let again = shop.get("/products/kente").send().await.expect(200)["product"].clone();
    let urls = |product: &Value| {
        product["images"].as_array().unwrap().iter().map(|image| image["url"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(again["variants"][0]["image"], kept);
    assert_eq!((urls(&again), again["title"].clone()), (urls(&kente), json!("Kente cloth")));
}

/// An import that staff hand in fetches its pictures by itself; two workers at once fetch each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_over_http_brings_its_pictures() {
    let shop = TestApp::with(|config| config.imports.private_networks = vec!["127.0.0.1".parse().unwrap()]).await;
    let admin = shop.staff(Role::Admin).await;
    let (base, asked) = server().await;
    let mut file = "Handle,Title,Variant Price,Image Src\n".to_owned();
    for n in 0..20 {
        file.push_str(&format!("k{n},Kente {n},5,{base}/a.jpg\n"));
    }
    shop.post("/admin/imports").token(&admin).bytes("text/csv", file).send().await.expect(201);
    shop.wait_for("the products", || async {
        (shop.database.count("select count(*) from product_images").await == 20).then_some(())
    })
    .await;
    tokio::join!(fetch(&shop), fetch(&shop));
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from product_images where fetch_status = 'kept'").await, 20);
    assert_eq!(asked.load(Ordering::Relaxed), 20);
}

/// Where the shop does not want it, pictures stay where they are.
#[tokio::test]
async fn fetching_can_be_turned_off() {
    let shop = TestApp::with(|config| config.imports.fetch_images = false).await;
    let file = "Handle,Title,Variant Price,Image Src\nkente,Kente,5,https://a.example/1.png\n";
    import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
    fetch(&shop).await;
    assert_eq!(shop.database.count("select count(*) from product_images where fetch_status is null").await, 1);
}

/// Staff see what could not be fetched and why, find its products, and have it tried again. Shoppers are never led to an
/// address that must not be reached, by whichever route.
#[tokio::test]
async fn failed_pictures_are_told_to_staff_and_tried_again() {
    let shop = TestApp::with(|config| config.imports.private_networks = vec!["127.0.0.1".parse().unwrap()]).await;
    let admin = shop.staff(Role::Admin).await;
    let (base, _) = server().await;
    // The first is refused for its safety, the second is not there, the third waits.
    let inside = "http://10.0.0.1/inside.png";
    let file = format!(
        "Handle,Title,Variant Price,Variant SKU,Variant Inventory Qty,Variant Image,Image Src\n\
         kente,Kente,5,K,9,{inside},{inside}\nkente,,,,,,{base}/missing.png\nkente,,,,,,{base}/busy\n\
         adire,Adire,5,A,9,,{base}/a.jpg\n"
    );
    import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
    // Before anybody has looked at them, addresses without a public name are not shown.
    let shown = async || shop.get("/products/kente").send().await.expect(200)["product"].clone();
    assert_eq!(shown().await["images"], json!([]));
    fetch(&shop).await;
    let kente = shown().await;
    assert_eq!((&kente["images"], kente["variants"][0].get("image")), (&json!([]), None));
    let listed = shop.get("/products?search=kente").send().await.expect(200);
    assert!(!listed.to_string().contains("inside") && !listed.to_string().contains("fetch"), "{listed}");
    let home = shop.get("//").send().await.text;
    assert!(home.contains("Kente") && !home.contains("inside"));
    let ama = shop.customer("ama@example.com").await;
    let item = json!({"variantId": kente["variants"][0]["id"], "quantity": 1});
    let cart = shop.post("/cart/items").token(&ama).json(&item).send().await;
    assert!(cart.status < 300 && !cart.text.contains("inside"), "{}", cart.text);

    let id = kente["id"].as_str().unwrap();
    let staff = async || {
        let data = shop.get(&format!("/admin/products/{id}")).token(&admin).send().await.expect(200);
        data["product"]["images"].as_array().unwrap().clone()
    };
    let images = staff().await;
    let fetches: Vec<_> = images.iter().map(|image| image["fetch"].clone()).collect();
    let private = "it leads into a network that is not public";
    let told = |status: &str, url: &str, error: &str, tries: i32| json!({"status": status, "sourceUrl": url, "tries": tries, "error": error, "isHidden": true});
    assert_eq!(fetches[0], told("failed", inside, private, 1));
    assert_eq!(fetches[1], told("failed", &format!("{base}/missing.png"), "the server answers 404", 1));
    assert_eq!(fetches[2], told("waiting", &format!("{base}/busy"), "the server answers 503", 1));

    let of = async |query: &str| {
        let data = shop.get(&format!("/admin/products?{query}")).token(&admin).send().await.expect(200);
        data["products"].as_array().unwrap().iter().map(|product| product["slug"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("pictures=failed").await, of("pictures=waiting").await),
        (vec![json!("kente")], vec![json!("kente")])
    );
    assert_eq!(of("").await.len(), 2);
    let odd = shop.get("/admin/products?pictures=kept").token(&admin).send().await;
    assert_eq!(odd.expect_error(400, "VALIDATION_ERROR"), ["pictures"]);
    let import =
        shop.post("/admin/imports").token(&admin).bytes("text/csv", "Handle,Title,Variant Price\nx,X,5\n").send().await;
    let import = import.expect(201)["import"]["id"].as_str().unwrap().to_owned();
    let report = shop.get(&format!("/admin/imports/{import}")).token(&admin).send().await.expect(200);
    assert_eq!(report["pictures"], json!({"waiting": 1, "failed": 2}));

    // One, and then all that are left.
    let one = format!("/products/{id}/images/{}/fetch", images[1]["id"].as_str().unwrap());
    let busy = format!("/products/{id}/images/{}/fetch", images[2]["id"].as_str().unwrap());
    let again = shop.post(&one).token(&admin).send().await.expect(200);
    assert_eq!(again["product"]["images"][0]["fetch"]["status"], "failed");
    fetch(&shop).await;
    assert_eq!(staff().await[1]["fetch"], fetches[1], "it is still not there");
    shop.post(&busy).token(&admin).send().await.expect_error(409, "CONFLICT");
    let moved =
        format!("update product_images set source_url = '{base}/a.jpg', url = '{base}/a.jpg' where position < 2");
    sqlx::query(sqlx::AssertSqlSafe(moved)).execute(&shop.database.pool).await.unwrap();
    shop.post(&format!("/products/{id}/images/fetch")).token(&admin).send().await.expect(200);
    fetch(&shop).await;
    let images = shown().await["images"].as_array().unwrap().clone();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|image| image["presets"]["card"].is_string()), "{images:?}");
    let none = shop.post(&format!("/products/{id}/images/fetch")).token(&admin).send().await;
    none.expect_error(409, "CONFLICT");
    let nobody = uuid::Uuid::now_v7();
    for path in [format!("/products/{nobody}/images/fetch"), format!("/products/{id}/images/{nobody}/fetch")] {
        shop.post(&path).token(&admin).send().await.expect_error(404, "NOT_FOUND");
    }
}

/// Which addresses are not shown before they were looked at.
#[tokio::test]
async fn an_address_without_a_public_name_is_hidden_until_it_is_kept() {
    let shop = TestApp::with(|config| config.jobs.sweep_seconds = 3_600).await;
    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 1).await;
    for (url, is_hidden) in [
        ("https://cdn.example.com/a.jpg", false),
        ("https://1and1.example/10.0.0.1.jpg", false),
        ("https://0xcafe.example/localhost", false),
        ("https://example.com:8080/x", false),
        ("http://10.0.0.1/x", true),
        ("http://user@10.0.0.1:80/x", true),
        ("http://0x7f000001/", true),
        ("http://2130706433", true),
        ("http://127.1?x", true),
        ("http://[::1]/x", true),
        ("http://[fe80::1]/x", true),
        ("HTTP://LOCALHOST/x", true),
        ("http://a.localhost./x", true),
        ("http://router/x", true),
    ] {
        let mut tx = shop.database.pool.begin().await.unwrap();
        let insert = "insert into product_images (id, product_id, url, source_url, fetch_status, position)
                      values (gen_random_uuid(), $1, $2, $2, 'waiting', 0) returning is_hidden";
        let id: uuid::Uuid = product.id.parse().unwrap();
        let hidden: bool = sqlx::query_scalar(insert).bind(id).bind(url).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(hidden, is_hidden, "{url}");
        tx.rollback().await.unwrap();
    }
}
