//! Uploads of pictures that are repeated, cut into pieces, slow, or too much.

use agape::features::auth::Role;
use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::media::{kept, send_files, upload};
use crate::media_direct::allow;
use crate::support::pictures::{jpeg, png_that_claims};
use crate::support::{Answer, TestApp};

/// A form of one picture with words, under a boundary and a file name of its own.
fn form(boundary: &str, name: &str, picture: &[u8], alt: &str) -> (String, Vec<u8>) {
    let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let rest =
        format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"alt\"\r\n\r\n{alt}\r\n--{boundary}--\r\n");
    let body = [head.as_bytes(), picture, rest.as_bytes()].concat();
    (format!("multipart/form-data; boundary={boundary}"), body)
}

async fn send(shop: &TestApp, token: &str, key: &str, (kind, body): (String, Vec<u8>)) -> Answer {
    shop.post("/admin/media").token(token).header("idempotency-key", key).bytes(&kind, body).send().await
}

/// What a key covers is the pictures and the words, byte for byte, and not how they are wrapped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_taken_once_for_a_key() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let (one, other) = (jpeg(60, 40), jpeg(40, 60));
    let all = (0..6).map(|n| send(&shop, &token, "once", form(&format!("b{n}"), &format!("{n}.jpg"), &one, "Gold")));
    let answers = join_all(all).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
    let first = answers.iter().find(|answer| answer.status == 201).unwrap().text.clone();
    let again = send(&shop, &token, "once", form("again", "x.png", &one, "Gold")).await;
    assert_eq!((again.status, again.header("idempotency-replayed").as_deref()), (201, Some("true")));
    assert_eq!(again.text, first);
    for (picture, alt) in [(&other, "Gold"), (&one, "Red")] {
        let refused = send(&shop, &token, "once", form("b", "a", picture, alt)).await;
        refused.expect_error(422, "VALIDATION_ERROR");
    }
    // What was written in vain is gone, and nothing was written by who came later.
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 1);
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 0);
    assert_eq!(kept(&shop).len(), 1);
    // Another key, and another person's same key, are other requests.
    send(&shop, &token, "twice", form("b", "a", &one, "Gold")).await.expect(201);
    let admin = shop.staff(Role::Admin).await;
    send(&shop, &admin, "once", form("b", "a", &other, "Gold")).await.expect(201);
    assert_eq!(kept(&shop).len(), 3);
}

#[tokio::test]
async fn an_upload_is_allowed_and_confirmed_once_for_a_key() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let content = jpeg(30, 20);
    let call = async |path: &str, body: serde_json::Value| {
        shop.post(path).token(&token).header("idempotency-key", "once").json(&body).send().await
    };
    let ask =
        |bytes: usize| call("/admin/media/upload-signature", json!({"contentType": "image/jpeg", "bytes": bytes}));
    let first = ask(content.len()).await;
    assert_eq!((first.status, ask(content.len()).await.text == first.text), (201, true));
    ask(content.len() + 1).await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(shop.database.count("select count(*) from media_loose").await, 1);
    let permit = first.expect(201)["upload"].clone();
    let put = shop.put(permit["url"].as_str().unwrap()).bytes("image/jpeg", content).send().await;
    assert_eq!(put.status, 204);
    let confirm = |alt: &str| call("/admin/media/confirm", json!({"id": permit["id"], "alt": alt}));
    let first = confirm("Gold").await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = confirm("Gold").await;
    assert_eq!((again.header("idempotency-replayed").as_deref(), again.text), (Some("true"), first.text));
    confirm("Red").await.expect_error(422, "VALIDATION_ERROR");
    assert_eq!(kept(&shop).len(), 1);
}

/// A request as a client writes it that no library would: in pieces, without a length, and maybe without an end. Gives what
/// comes back.
async fn raw(shop: &TestApp, head: &str, pieces: &[&[u8]], ends: bool) -> String {
    let mut stream = TcpStream::connect(shop.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("{head}\r\nHost: shop\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in pieces {
        let piece = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        // A server that has enough closes the door.
        if stream.write_all(&piece).await.is_err() {
            break;
        }
    }
    if ends {
        let _ = stream.write_all(b"0\r\n\r\n").await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Without a length the bytes are counted as they come.
#[tokio::test]
async fn uploads_without_a_length_have_the_same_bounds() {
    let shop = TestApp::with(|config| config.media.max_bytes = 20_000).await;
    let token = shop.staff(Role::Merchant).await;
    let post = format!("POST /api/v1/admin/media HTTP/1.1\r\nAuthorization: Bearer {token}");
    let send = async |picture: &[u8]| {
        let (kind, body) = form("b", "a.jpg", picture, "");
        let pieces: Vec<&[u8]> = body.chunks(1_000).collect();
        raw(&shop, &format!("{post}\r\nContent-Type: {kind}"), &pieces, true).await
    };
    let taken = send(&jpeg(60, 40)).await;
    assert!(taken.starts_with("HTTP/1.1 201"), "{taken}");
    let refused = send(&vec![0xFF; 30_000]).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 413"), "{refused}");

    let content = jpeg(60, 40);
    let permit = allow(&shop, &token, "image/jpeg", content.len()).await.expect(201)["upload"].clone();
    let path = permit["url"].as_str().unwrap().strip_prefix(&shop.url).unwrap().to_owned();
    let put = format!("PUT {path} HTTP/1.1\r\nContent-Type: image/jpeg");
    let long = [&content[..], b"x"].concat();
    let refused = raw(&shop, &put, &[&long[..]], true).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let refused = raw(&shop, &put, &[&content[..10]], true).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let pieces: Vec<&[u8]> = content.chunks(100).collect();
    let taken = raw(&shop, &put, &pieces, true).await;
    assert!(taken.starts_with("HTTP/1.1 204"), "{taken}");
    assert_eq!(kept(&shop).len(), 1);
}

/// Whoever stops sending is answered when his time is over, and nothing of his is left.
#[tokio::test]
async fn an_upload_that_stops_is_ended() {
    let shop = TestApp::start().await;
    let token = shop.staff(Role::Merchant).await;
    let permit = allow(&shop, &token, "image/jpeg", 1_000).await.expect(201)["upload"].clone();
    let path = permit["url"].as_str().unwrap().strip_prefix(&shop.url).unwrap().to_owned();
    let shop = shop
        .restart(|config| {
            config.server.request_timeout_seconds = 1;
            config.media.upload_seconds = 1;
        })
        .await;
    let (kind, body) = form("b", "a.jpg", &jpeg(300, 300), "");
    let post = format!("POST /api/v1/admin/media HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}");
    let ended = raw(&shop, &post, &[&body[..200]], false).await;
    assert!(ended.starts_with("HTTP/1.1 503") && ended.contains("SERVICE_UNAVAILABLE"), "{ended}");
    let ended = raw(&shop, &format!("PUT {path} HTTP/1.1"), &[&body[..200]], false).await;
    assert!(ended.starts_with("HTTP/1.1 503"), "{ended}");
    assert!(kept(&shop).is_empty());
    assert!(!shop.data_dir().join("media/incoming").exists());
    assert_eq!(shop.database.count("select count(*) from media_assets").await, 0);
}

/// What needs more memory than all pictures together may take is refused by its head; what does not is taken, however many
/// come at once: each waits until there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_share_the_memory_that_the_settings_give() {
    let shop = TestApp::with(|config| config.media.memory_bytes = 8 * 1024 * 1024).await;
    let token = shop.staff(Role::Merchant).await;
    let answer = send_files(&shop, &token, &[("a.png", "image/png", &png_that_claims(1_500, 1_000))]).await;
    assert_eq!(answer.expect_error(400, "VALIDATION_ERROR"), ["file[0]"]);
    let told = answer.body["details"][0]["message"].as_str().unwrap();
    assert!(told.contains("needs 9 MB") && told.contains("has 8 MB"), "{told}");
    // Each takes more than half of it.
    let large = jpeg(600, 400);
    let all = join_all((0..6).map(|_| upload(&shop, &token, &large))).await;
    assert_eq!((all.len(), kept(&shop).len()), (6, 6));
}
