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
