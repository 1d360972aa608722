//! Uploads that go straight to the store, and what is cleaned up after everybody.

use agape::features::auth::Role;
use agape::features::media::{SweepMedia, store_image};
use agape::platform::jobs::Job;
use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::media::{fetch, kept, upload};
use crate::support::pictures::{jpeg, png_that_claims};
use crate::support::{Answer, TestApp};

pub async fn allow(shop: &TestApp, token: &str, content_type: &str, bytes: usize) -> Answer {
    let body = json!({"contentType": content_type, "bytes": bytes});
    shop.post("/admin/media/upload-signature").token(token).json(&body).send().await
}

/// Sends a file as a browser does that was allowed to.
pub async fn send(shop: &TestApp, permit: &Value, content: &[u8]) -> u16 {
    assert_eq!(permit["method"], "PUT");
    let mut request = shop.http.put(permit["url"].as_str().unwrap()).body(content.to_vec());
    for (name, value) in permit["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap().status().as_u16()
}

pub async fn confirm(shop: &TestApp, token: &str, permit: &Value) -> Answer {
    let body = json!({"id": permit["id"], "alt": "Kente"});
    shop.post("/admin/media/confirm").token(token).json(&body).send().await
}

async fn sweep(shop: &TestApp) {
    SweepMedia {}.run(&shop.app).await.unwrap();
}

async fn count(shop: &TestApp, sql: &'static str) -> i64 {
    shop.database.count(sql).await
}

#[tokio::test]
async fn a_browser_sends_one_file_which_counts_once_it_was_looked_at() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg(80, 60);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    confirm(&shop, &token, &permit).await.expect_error(409, "CONFLICT");
    // Longer than allowed, shorter, and at an address that was changed.
    assert_eq!(send(&shop, &permit, &[&content[..], b"x"].concat()).await, 413);
    assert_eq!(send(&shop, &permit, &content[..10]).await, 400);
    let mut forged = permit.clone();
    let length = format!(".{}.", content.len());
    forged["url"] = permit["url"].as_str().unwrap().replace(&length, ".99999.").into();
    assert_eq!(send(&shop, &forged, &content).await, 403);
    assert_eq!(send(&shop, &permit, &content).await, 204);
    assert_eq!(send(&shop, &permit, &content).await, 409, "one file, once");
    assert!(kept(&shop).is_empty());

    let asset = confirm(&shop, &token, &permit).await.expect(201)["asset"].clone();
    assert_eq!((&asset["id"], &asset["alt"], &asset["width"]), (&permit["id"], &json!("Kente"), &json!(80)));
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200);
    assert_eq!(confirm(&shop, &token, &permit).await.expect(201)["asset"], asset, "asked again");
    assert_eq!(send(&shop, &permit, &content).await, 403, "it is over");
    assert_eq!((kept(&shop).len(), count(&shop, "select count(*) from media_assets").await), (1, 1));

    // What was sent is gone at once, and looked for once more when nobody can be sending it any more.
    assert_eq!(std::fs::read_dir(shop.data_dir().join("media/incoming")).unwrap().count(), 0);
    assert_eq!(count(&shop, "select count(*) from media_loose").await, 1);
    shop.app.clock.advance(TimeDelta::hours(4));
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from media_loose").await, 0);
    assert_eq!(std::fs::read_dir(shop.data_dir().join("media/incoming")).unwrap().count(), 0);
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn odd_direct_uploads_are_refused() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let fields = allow(&shop, &token, "image/svg+xml", 0).await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(fields, ["contentType", "bytes"]);
    let fields = allow(&shop, &token, "image/png", 10 * 1024 * 1024 + 1).await.expect_error(400, "VALIDATION_ERROR");
    assert_eq!(fields, ["bytes"]);
    for content in [&b"<script>alert(1)</script>"[..], &png_that_claims(60_000, 60_000)] {
        let permit = allow(&shop, &token, "image/png", content.len()).await.expect(201)["upload"].clone();
        assert_eq!(send(&shop, &permit, content).await, 204);
        assert_eq!(confirm(&shop, &token, &permit).await.expect_error(400, "VALIDATION_ERROR"), ["file"]);
    }
    // A picture, but another kind than was announced.
    let content = jpeg(10, 10);
    let permit = allow(&shop, &token, "image/png", content.len()).await.expect(201)["upload"].clone();
    assert_eq!(send(&shop, &permit, &content).await, 204);
    assert_eq!(confirm(&shop, &token, &permit).await.expect_error(400, "VALIDATION_ERROR"), ["file"]);
    assert!(kept(&shop).is_empty());
    let nobody = json!({"id": uuid::Uuid::now_v7()});
    confirm(&shop, &token, &nobody).await.expect_error(404, "NOT_FOUND");
    assert_eq!(shop.put("//media/uploads/x").bytes("image/png", "x").send().await.status, 403);

    // After a quarter of an hour nothing is taken; after a day nothing is confirmed.
    let content = jpeg(10, 10);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    shop.app.clock.advance(TimeDelta::minutes(14));
    assert_eq!(send(&shop, &permit, &content).await, 204);
    let late = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    shop.app.clock.advance(TimeDelta::minutes(15));
    assert_eq!(send(&shop, &late, &content).await, 403);
    shop.app.clock.advance(TimeDelta::hours(24));
    let token = shop.login("merchant@agape.example").await;
    confirm(&shop, &token, &permit).await.expect_error(404, "NOT_FOUND");
    sweep(&shop).await;
    assert_eq!(count(&shop, "select count(*) from media_loose").await, 0);
    assert_eq!(std::fs::read_dir(shop.data_dir().join("media/incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_confirm_at_once_get_the_same_picture() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg(500, 500);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    assert_eq!(send(&shop, &permit, &content).await, 204);
    let all = futures::future::join_all((0..4).map(|_| confirm(&shop, &token, &permit))).await;
    let urls: Vec<_> = all.into_iter().map(|answer| answer.expect(201)["asset"]["url"].clone()).collect();
    assert!(urls.iter().all(|url| *url == urls[0]));
    shop.wait_for_jobs().await;
    assert_eq!((kept(&shop).len(), count(&shop, "select count(*) from media_assets").await), (1, 1));
}

#[tokio::test]
async fn pictures_that_nobody_ever_showed_go_after_a_week() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let product = shop.product(&token, "A", 1_000, 1).await;
    let (unused, shown, taken_off) = (
        upload(&shop, &token, &jpeg(10, 10)).await,
        upload(&shop, &token, &jpeg(20, 20)).await,
        upload(&shop, &token, &jpeg(30, 30)).await,
    );
    let by_url = store_image(&shop.app, Bytes::from(jpeg(40, 40)), None, shop.app.clock.now()).await.unwrap();
    let of_variant = upload(&shop, &token, &jpeg(50, 50)).await;
    let path = format!("/products/{}/images", product.id);
    for asset in [&shown, &taken_off] {
        shop.post(&path).token(&token).json(&json!({"assetId": asset["id"]})).send().await.expect(201);
    }
    let data = shop.post(&path).token(&token).json(&json!({"url": by_url.url})).send().await.expect(201);
    let image = data["product"]["images"][1]["id"].as_str().unwrap().to_owned();
    shop.delete(&format!("{path}/{image}")).token(&token).send().await.expect(200);
    let body = json!({"sku": "V", "title": "Adire", "price": 5, "variants": [
        {"sku": "V-1", "options": [{"name": "Colour", "value": "Gold"}], "image": of_variant["url"]}]});
    shop.post("/products").token(&token).json(&body).send().await.expect(201);

    shop.app.clock.advance(TimeDelta::days(7) - TimeDelta::minutes(1));
    sweep(&shop).await;
    assert_eq!(kept(&shop).len(), 5);
    shop.app.clock.advance(TimeDelta::minutes(2));
    sweep(&shop).await;
    shop.wait_for_jobs().await;
    assert_eq!(kept(&shop).len(), 4);
    let entry = "select entity_id from audit_log where action = 'media.delete' and actor_id is null";
    assert_eq!(shop.database.text(entry).await.as_deref(), unused["id"].as_str());
    let status = async |asset: &Value| fetch(&shop, asset["url"].as_str().unwrap()).await.0;
    // Orders may still show what was taken off.
    assert_eq!((status(&shown).await, status(&taken_off).await, status(&of_variant).await), (200, 200, 200));
    assert_eq!((status(&unused).await, fetch(&shop, &format!("{}{}", shop.url, by_url.url)).await.0), (404, 200));
}

/// What a process leaves behind that is killed: before the file was written, after it, and while it was being removed.
#[tokio::test]
async fn no_file_is_lost_from_sight_by_a_crash() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let asset = upload(&shop, &token, &jpeg(10, 10)).await;
    let file = kept(&shop).remove(0);
    // Killed after the file was written and before it was a picture.
    for sql in [
        "insert into media_loose (id, provider, key, purpose, remove_at)
         select gen_random_uuid(), provider, key, 'writing', created_at + interval '1 hour' from media_assets",
        "insert into media_loose (id, provider, key, purpose, remove_at)
         select gen_random_uuid(), 'local', gen_random_uuid() || '.jpg', 'writing', created_at + interval '1 hour'
         from media_assets",
        "delete from media_assets",
    ] {
        sqlx::query(sql).execute(&shop.database.pool).await.unwrap();
    }
    let partial = shop.data_dir().join("media/partial/half");
    std::fs::write(&partial, "half a pict").unwrap();
    sweep(&shop).await;
    assert!(file.exists() && partial.exists(), "it may still be under way");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 60 * 60);
    std::fs::File::options().append(true).open(&partial).unwrap().set_modified(old).unwrap();
    shop.app.clock.advance(TimeDelta::hours(2));
    sweep(&shop).await;
    assert!(!file.exists() && !partial.exists());
    assert_eq!(count(&shop, "select count(*) from media_loose").await, 0);
    assert_eq!(fetch(&shop, asset["url"].as_str().unwrap()).await.0, 404);

    // A file that the clean-up has taken can no longer become a picture.
    sqlx::query(
        "create function steal() returns trigger language plpgsql as $$ begin
           new.purpose := 'removal'; return new; end $$;",
    )
    .execute(&shop.database.pool)
    .await
    .unwrap();
    sqlx::query("create trigger steal before insert on media_loose for each row execute function steal()")
        .execute(&shop.database.pool)
        .await
        .unwrap();
    let token = shop.login("merchant@agape.example").await;
    let parts: [(&str, &str, &str, &[u8]); 1] = [("file", "a", "", &jpeg(10, 10))];
    let answer = shop.post("/admin/media").token(&token).multipart(&parts).send().await;
    answer.expect_error(503, "SERVICE_UNAVAILABLE");
    assert_eq!(count(&shop, "select count(*) from media_assets").await, 0);
    assert_eq!(count(&shop, "select count(*) from media_loose").await, 1, "and is still known");
}
