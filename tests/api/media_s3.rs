//! Pictures in a bucket.

use agape::features::auth::Role;
use agape::features::media::SweepMedia;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use serde_json::json;

use crate::media::{fetch, kept, send_files, upload};
use crate::media_direct::{allow, confirm, send};
use crate::support::pictures::{jpeg, png_chunk, png_with};
use crate::support::{FakeS3, Fault, TestApp};

fn name_of(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_bucket_keeps_pictures_and_this_server_shows_them() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| bucket.configure(config)).await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(300, 300)).await;
    let url = asset["url"].as_str().unwrap();
    let name = name_of(url);
    let (stored, kind) = bucket.object(&name).unwrap();
    assert_eq!((kind.as_str(), asset["bytes"].as_u64()), ("image/jpeg", Some(stored.len() as u64)));
    assert!(kept(&shop).is_empty());
    for _ in 0..2 {
        assert_eq!(fetch(&shop, url).await, (200, "image/jpeg".to_owned(), stored.to_vec()));
    }
    assert_eq!(bucket.count("GET", &name), 1, "the second came from this server");
    let thumbnail = asset["presets"]["thumbnail"].as_str().unwrap();
    assert_eq!(fetch(&shop, thumbnail).await.0, 200);

    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert!(bucket.names().is_empty());
    assert_eq!((fetch(&shop, url).await.0, fetch(&shop, thumbnail).await.0), (404, 404));
}

#[tokio::test]
async fn a_public_bucket_is_read_past_this_server() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| {
        bucket.configure(config);
        config.media.s3_public_url = "https://cdn.example/shop/".into();
    })
    .await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let asset = upload(&shop, &token, &jpeg(300, 300)).await;
    let name = name_of(asset["url"].as_str().unwrap());
    assert_eq!(asset["url"], format!("https://cdn.example/shop/{name}"));
    let body = json!({"url": asset["url"]});
    let path = format!("/products/{}/images", product.id);
    let data = shop.post(&path).token(&token).json(&body).send().await.expect(201);
    assert_eq!(data["product"]["images"][0]["presets"], asset["presets"]);
    assert_eq!(fetch(&shop, asset["presets"]["card"].as_str().unwrap()).await.0, 200);
    assert_eq!(fetch(&shop, &format!("{}/media/{name}", shop.url)).await.0, 404);
}

#[tokio::test]
async fn a_browser_sends_to_the_bucket_what_was_signed_and_nothing_else() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| bucket.configure(config)).await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg(80, 60);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    confirm(&shop, &token, &permit).await.expect_error(409, "CONFLICT");
    assert_eq!(send(&shop, &permit, &[&content[..], b"x"].concat()).await, 403, "another length");
    let mut page = permit.clone();
    page["headers"]["Content-Type"] = "text/html".into();
    assert_eq!(send(&shop, &page, &content).await, 403, "another type");
    let mut elsewhere = permit.clone();
    elsewhere["url"] = permit["url"].as_str().unwrap().replace("/incoming/", "/").into();
    assert_eq!(send(&shop, &elsewhere, &content).await, 403, "another name");
    assert_eq!(send(&shop, &permit, &content).await, 200);
    let asset = confirm(&shop, &token, &permit).await.expect(201)["asset"].clone();
    assert_eq!(asset["width"], 80);
    let name = name_of(asset["url"].as_str().unwrap());
    assert_eq!(bucket.names(), std::slice::from_ref(&name), "what was sent is gone");
    // The address still works for some minutes; what comes by it goes when it does not any more.
    let incoming = format!("incoming/{}", permit["id"].as_str().unwrap());
    assert_eq!(send(&shop, &permit, &content).await, 200);
    assert_eq!(bucket.names(), [name.clone(), incoming]);
    shop.app.clock.advance(TimeDelta::hours(4));
    SweepMedia {}.run(&shop.app).await.unwrap();
    assert_eq!(bucket.names(), [name]);
}

/// A store that does not look at what was signed gets no picture into the shop that was not announced.
#[tokio::test]
async fn what_a_bucket_took_is_looked_at_all_the_same() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| bucket.configure(config)).await;
    let token = shop.staff(Role::Merchant).await;
    let announced = jpeg(80, 60);
    let longer = [&announced[..], b"x"].concat();
    let mut page = b"<script>alert(1)</script>".to_vec();
    page.resize(announced.len(), b' ');
    let mut other_kind = png_with(&png_chunk(b"tEXt", &vec![b'a'; 10_000]));
    other_kind.truncate(announced.len());
    for (name, sent, status, code) in [
        ("longer", &longer[..], 413, "PAYLOAD_TOO_LARGE"),
        ("shorter", &announced[..100], 400, "VALIDATION_ERROR"),
        ("a page", &page, 400, "VALIDATION_ERROR"),
        ("another kind", &other_kind, 400, "VALIDATION_ERROR"),
    ] {
        let permit = allow(&shop, &token, "image/jpeg", announced.len()).await.expect(201)["upload"].clone();
        bucket.put(&format!("incoming/{}", permit["id"].as_str().unwrap()), sent, "image/jpeg");
        let refused = confirm(&shop, &token, &permit).await;
        assert_eq!((refused.status, &refused.body["code"]), (status, &json!(code)), "{name}");
    }
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
    assert!(bucket.names().iter().all(|name| name.starts_with("incoming/")));
}

/// The doctor writes, reads and removes, and says which right is missing.
#[tokio::test]
async fn the_doctor_tries_the_bucket() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| bucket.configure(config)).await;
    let look = async || {
        let found = shop.app.media.check().await;
        let (_, told) = found.into_iter().find(|(name, _)| *name == "media bucket").unwrap();
        told.map_err(|error| format!("{error:#}"))
    };
    assert_eq!(look().await.unwrap(), "new pictures are kept here; takes, gives and deletes");
    assert!(bucket.names().is_empty());
    bucket.fail(&[Fault::Status(403)]);
    let told = look().await.unwrap_err();
    assert!(
        told.contains("bucket pictures") && told.contains("allowed to put objects: ") && told.contains("403"),
        "{told}"
    );
    assert!(!told.contains("Signature"), "{told}");
}

#[tokio::test]
async fn a_bucket_that_fails_loses_nothing() {
    let bucket = FakeS3::start().await;
    let shop = TestApp::with(|config| bucket.configure(config)).await;
    let token = shop.staff(Role::Merchant).await;
    for fault in [Fault::Status(503), Fault::Status(403), Fault::Silence] {
        bucket.fail(&[fault]);
        let answer = send_files(&shop, &token, &[("a", "image/jpeg", &jpeg(10, 10))]).await;
        answer.expect_error(503, "SERVICE_UNAVAILABLE");
        assert!(!answer.text.contains("Signature") && !answer.text.contains(&bucket.address.to_string()));
    }
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
    assert_eq!(shop.database.count("select count(*) from media_loose where purpose = 'writing'").await, 3);

    let asset = upload(&shop, &token, &jpeg(300, 300)).await;
    let url = asset["url"].as_str().unwrap();
    bucket.fail(&[Fault::Status(500), Fault::Silence]);
    assert_eq!((fetch(&shop, url).await.0, fetch(&shop, url).await.0, fetch(&shop, url).await.0), (503, 503, 200));
    // The file goes at the next try.
    bucket.fail(&[Fault::Status(503)]);
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert!(bucket.names().is_empty());
    assert_eq!(bucket.count("DELETE", &name_of(url)), 2);

    // What the failed uploads may have left is looked after, however long the bucket is away.
    shop.app.clock.advance(TimeDelta::hours(2));
    bucket.fail(&[Fault::Status(503)]);
    assert!(SweepMedia {}.run(&shop.app).await.is_err());
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 1);
    shop.app.clock.advance(TimeDelta::hours(2));
    SweepMedia {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
}

#[tokio::test]
async fn pictures_on_the_disk_are_shown_after_a_move_to_a_bucket() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(300, 300)).await;
    let bucket = FakeS3::start().await;
    let shop = shop.restart(|config| bucket.configure(config)).await;
    let moved = |url: &str| format!("{}/media/{}", shop.url, url.split("/media/").nth(1).unwrap());
    assert_eq!(fetch(&shop, &moved(asset["url"].as_str().unwrap())).await.0, 200);
    assert_eq!(fetch(&shop, &moved(asset["presets"]["card"].as_str().unwrap())).await.0, 200);
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert!(kept(&shop).is_empty());
}
