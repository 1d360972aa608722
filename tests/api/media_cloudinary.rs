//! Pictures at Cloudinary, whose fake is a server of its own.

use agape::features::auth::Role;
use agape::features::media::SweepMedia;
use agape::platform::jobs::Job;
use chrono::TimeDelta;
use cloudinary::fake::{Fake, FakeConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::media::{fetch, kept, send_files, upload};
use crate::media_direct::{allow, confirm};
use crate::support::pictures::{jpeg, jpeg_of_a_camera, png_that_claims};
use crate::support::{Answer, TestApp};

const KEY: &str = "123456789012345";
const SECRET: &str = "secret-of-tests";

pub async fn start() -> (TestApp, Fake, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fake = Fake::new(FakeConfig::new("shop", KEY, SECRET.into(), &url));
    let router = fake.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let shop = TestApp::with(|config| {
        config.media.provider = "cloudinary".into();
        config.media.cloudinary_url = format!("cloudinary://{KEY}:{SECRET}@shop").into();
        config.media.cloudinary_api_url.clone_from(&url);
        config.media.cloudinary_delivery_url.clone_from(&url);
        config.media.timeout_seconds = 2;
    })
    .await;
    (shop, fake, url)
}

async fn faults(shop: &TestApp, url: &str, faults: &Value) {
    let request = shop.http.post(format!("{url}/_control/faults")).basic_auth(KEY, Some(SECRET)).json(faults);
    assert!(request.send().await.unwrap().status().is_success());
}

/// Posts the form of a direct upload as a browser does, with some fields changed.
async fn post(shop: &TestApp, permit: &Value, changes: &[(&str, &str)], content: &[u8]) -> Answer {
    assert_eq!(permit["method"], "POST");
    let mut parts: Vec<(&str, &str, &str, &[u8])> = Vec::new();
    for (name, value) in permit["fields"].as_object().unwrap() {
        let changed = changes.iter().find(|(changed, _)| changed == name);
        parts.push((name, "", "", changed.map_or(value.as_str().unwrap(), |(_, value)| value).as_bytes()));
    }
    parts.push(("file", "picture.jpg", "image/jpeg", content));
    shop.post(permit["url"].as_str().unwrap()).multipart(&parts).send().await
}

#[tokio::test]
async fn cloudinary_keeps_pictures_and_shows_them_in_its_sizes() {
    let (shop, fake, cloud) = start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let asset = upload(&shop, &token, &jpeg_of_a_camera(60, 40)).await;
    assert_eq!((&asset["width"], &asset["height"]), (&json!(40), &json!(60)), "looked at before it was sent");
    let url = asset["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{cloud}/shop/image/upload/v")) && url.ends_with(".jpg"), "{url}");
    let (status, kind, bytes) = fetch(&shop, url).await;
    assert_eq!((status, kind.as_str()), (200, "image/jpeg"));
    assert!(!bytes.windows(6).any(|window| window == b"Secret"));
    assert!(kept(&shop).is_empty());

    let path = format!("/products/{}/images", product.id);
    let data = shop.post(&path).token(&token).json(&json!({"assetId": asset["id"]})).send().await.expect(201);
    let image = &data["product"]["images"][0];
    assert_eq!((&image["url"], &image["presets"]), (&asset["url"], &asset["presets"]));
    for (preset, transformation) in [
        ("thumbnail", "c_fill,g_auto,h_200,w_200/f_auto,q_auto"),
        ("card", "c_fill,g_auto,h_500,w_400/f_auto,q_auto"),
        ("detail", "c_limit,h_1000,w_1000/f_auto,q_auto"),
        ("zoom", "c_limit,h_2000,w_2000/f_auto,q_auto"),
    ] {
        assert_eq!(fetch(&shop, image["presets"][preset].as_str().unwrap()).await.0, 200, "{preset}");
        assert_eq!(fake.served().pop().unwrap().transformation, transformation);
    }

    let removed = format!("{path}/{}", image["id"].as_str().unwrap());
    shop.delete(&removed).token(&token).send().await.expect(200);
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert_eq!(fetch(&shop, url).await.0, 404);
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
}

#[tokio::test]
async fn a_browser_sends_to_cloudinary_and_proves_it() {
    let (shop, _fake, cloud) = start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg_of_a_camera(80, 60);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    assert!(!permit.to_string().contains(SECRET));
    for change in [("public_id", "agape/other"), ("allowed_formats", "svg"), ("overwrite", "true")] {
        assert_eq!(post(&shop, &permit, &[change], &content).await.status, 401, "{change:?}");
    }
    assert_eq!(post(&shop, &permit, &[], b"<svg xmlns='http://www.w3.org/2000/svg'/>").await.status, 400);
    let told = post(&shop, &permit, &[], &content).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let told = told.body;
    // Nobody sees it yet.
    let open = format!("{cloud}/shop/image/authenticated/v{}/{}", told["version"], told["public_id"].as_str().unwrap());
    assert!(matches!(fetch(&shop, &open).await.0, 401 | 404));

    let proves = async |told: Value| {
        let body = json!({"id": permit["id"], "alt": "Kente", "cloudinary": told});
        shop.post("/admin/media/confirm").token(&token).json(&body).send().await
    };
    assert_eq!(confirm(&shop, &token, &permit).await.expect_error(400, "VALIDATION_ERROR"), ["cloudinary"]);
    for (field, value) in
        [("version", json!(7)), ("public_id", json!("agape/other")), ("signature", json!("0".repeat(40)))]
    {
        let mut lie = told.clone();
        lie[field] = value;
        assert_eq!(proves(lie).await.expect_error(400, "VALIDATION_ERROR"), ["cloudinary"], "{field}");
    }
    // An answer to another upload proves nothing of this one.
    let other = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    let others = post(&shop, &other, &[], &content).await.body;
    assert_eq!(proves(others).await.expect_error(400, "VALIDATION_ERROR"), ["cloudinary"]);

    let asset = proves(told.clone()).await.expect(201)["asset"].clone();
    assert_eq!((&asset["id"], &asset["width"], &asset["alt"]), (&permit["id"], &json!(60), &json!("Kente")));
    assert_eq!(proves(told).await.expect(201)["asset"], asset);
    let (status, _, bytes) = fetch(&shop, asset["url"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    assert!(!bytes.windows(6).any(|window| window == b"Secret"), "what is shown was written anew");

    shop.app.clock.advance(TimeDelta::hours(25));
    SweepMedia {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn what_reached_cloudinary_is_looked_at_all_the_same() {
    let (shop, _fake, _) = start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = png_that_claims(20, 30_000);
    let permit = allow(&shop, &token, "image/png", content.len()).await.expect(201)["upload"].clone();
    let told = post(&shop, &permit, &[], &content).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let body = json!({"id": permit["id"], "cloudinary": told.body});
    let answer = shop.post("/admin/media/confirm").token(&token).json(&body).send().await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["file"]);
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
}

#[tokio::test]
async fn cloudinary_that_fails_loses_nothing() {
    let (shop, _fake, cloud) = start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg(20, 20);
    for fault in [
        json!({"fail_next": {"status": 503}}),
        json!({"fail_next": {"status": 420}}),
        json!({"drop": 1}),
        json!({"delay": 5_000}),
    ] {
        faults(&shop, &cloud, &fault).await;
        let answer = send_files(&shop, &token, &[("a", "image/jpeg", &content)]).await;
        answer.expect_error(503, "SERVICE_UNAVAILABLE");
    }
    faults(&shop, &cloud, &json!({})).await;
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
    // What may have been carried out is undone.
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 4);
    shop.app.clock.advance(TimeDelta::hours(2));
    SweepMedia {}.run(&shop.app).await.unwrap();
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    // A deletion whose answer is lost is done again.
    let token = shop.login("merchant@agape.example").await;
    let asset = upload(&shop, &token, &content).await;
    faults(&shop, &cloud, &json!({"drop": 1})).await;
    let path = format!("/admin/media/{}", asset["id"].as_str().unwrap());
    shop.delete(&path).token(&token).send().await.expect(200);
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 404);
}

/// The doctor asks whether the account's key is good.
#[tokio::test]
async fn the_doctor_asks_cloudinary() {
    let (shop, _fake, cloud) = start().await;
    let look = async |shop: &TestApp| {
        let found = shop.app.media.check().await;
        let (_, told) = found.into_iter().find(|(name, _)| *name == "cloudinary").unwrap();
        told.map_err(|error| format!("{error:#}"))
    };
    assert_eq!(look(&shop).await.unwrap(), "new pictures are kept here; the key is good");
    let shop = shop
        .restart(|config| {
            config.media.cloudinary_url = format!("cloudinary://{KEY}:hunter2@shop").into();
            config.media.cloudinary_api_url = cloud;
        })
        .await;
    let told = look(&shop).await.unwrap_err();
    assert!(told.contains("media.cloudinary_url") && told.contains("api_secret mismatch"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
