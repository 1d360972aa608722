//! Pictures of an import are fetched and kept.

use agape::features::catalog::{ImportSettings, import_products};
use agape::flows::fetch_images::fetch_images;
use agape::platform::fetch::FetchError;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::TestApp;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// A server with one picture at `/a.png`, which is busy at `/busy`, and has nothing else. Gives its address.
async fn server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 2048];
            let read = socket.read(&mut request).await.unwrap();
            let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap().to_owned();
            let (status, body) = match path.as_str() {
                "/a.png" => ("200 OK", PNG),
                "/page.png" => ("200 OK\r\nContent-Type: image/png", &b"<html>not a picture</html>"[..]),
                "/busy" => ("503 Busy", &b""[..]),
                _ => ("404 Not Found", &b""[..]),
            };
            let _ = socket.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await;
            let _ = socket.write_all(body).await;
        }
    });
    format!("http://{address}")
}

/// One call of the flow, which keeps pictures under the name of their id.
async fn fetch(shop: &TestApp) -> usize {
    fetch_images(&shop.app, async |_, image, fetched| {
        if fetched.bytes == PNG {
            Ok(format!("/media/{}.png", image.id))
        } else {
            Err(FetchError::Refused("wrong".into()))
        }
    })
    .await
    .unwrap()
}

/// Pictures are kept with their variants, faults are noted, what may work later is tried again, and an import of the same
/// pictures does not fetch them again.
#[tokio::test]
async fn pictures_are_fetched_once() {
    let shop = TestApp::with(|config| config.imports.private_networks = vec!["127.0.0.1".parse().unwrap()]).await;
    let base = server().await;
    let file = |title: &str| {
        format!(
            "Handle,Title,Variant Price,Image Src,Variant Image\n\
             kente,{title},5,{base}/a.png,{base}/a.png\nkente,,,{base}/page.png,\nkente,,,{base}/missing.png,\n\
             kente,,,{base}/busy,\nkente,,,http://10.0.0.1/x.png,\nkente,,,/media/demo/kente.png,\n"
        )
    };
    let import = async |title: &str| {
        let file = file(title);
        import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap()
    };
    assert_eq!(import("Kente").await.images, 6);
    assert_eq!(fetch(&shop).await, 5);
    assert_eq!(fetch(&shop).await, 0, "the busy one comes later");
    let states = "select string_agg(concat_ws(' ', fetch_status, fetch_tries, fetch_error), ', ' order by position) from product_images";
    let told = shop.database.text(states).await.unwrap();
    assert_eq!(
        told,
        "kept 0, failed 1 it is not a JPEG, PNG, WebP or GIF picture, failed 1 the server answers 404, \
         waiting 1 the server answers 503, failed 1 it leads into a network that is not public, 0"
    );
    let kente = shop.get("/products/kente").send().await.expect(200)["product"].clone();
    let kept = kente["images"][0]["url"].as_str().unwrap();
    assert!(kept.contains("/media/") && kept.ends_with(".png"), "{kept}");
    assert_eq!(kente["variants"][0]["image"], kept);
    for _ in 0..3 {
        shop.app.clock.advance(TimeDelta::minutes(10));
        assert_eq!(fetch(&shop).await, 1);
    }
    shop.app.clock.advance(TimeDelta::days(1));
    assert_eq!(fetch(&shop).await, 0, "after four tries it is given up");
    assert_eq!(shop.database.count("select count(*) from product_images where fetch_status = 'failed'").await, 4);

    assert_eq!(import("Kente cloth").await.updated, 1);
    assert_eq!(fetch(&shop).await, 0);
    let again = shop.get("/products/kente").send().await.expect(200)["product"].clone();
    let urls = |product: &Value| {
        product["images"].as_array().unwrap().iter().map(|image| image["url"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(again["variants"][0]["image"], kept);
    assert_eq!((urls(&again), again["title"].clone()), (urls(&kente), json!("Kente cloth")));
}

/// Where the shop does not want it, pictures stay where they are.
#[tokio::test]
async fn fetching_can_be_turned_off() {
    let shop = TestApp::with(|config| config.imports.fetch_images = false).await;
    let file = "Handle,Title,Variant Price,Image Src\nkente,Kente,5,https://a.example/1.png\n";
    import_products(&shop.app, &file.as_bytes(), ImportSettings::default(), |_| {}).await.unwrap();
    assert_eq!(fetch(&shop).await, 0);
    assert_eq!(shop.database.count("select count(*) from product_images where fetch_status is null").await, 1);
}
