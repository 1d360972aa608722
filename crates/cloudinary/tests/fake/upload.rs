//! Uploads and destructions by the server.

use crate::common::{CLOUD, KEY, MAX, NOW, SECRET, browser, gif, id, message, options, png, start};
use cloudinary::{
    Client, ClientConfig, DeliveryType, Destroyed, Error, ImageFormat, MAX_FILE, Params, ResourceType,
    SignatureAlgorithm, UploadOptions, sign,
};
use secrecy::SecretString;
use serde_json::{Value, json};

fn rejected(error: &Error, status: u16) -> &str {
    match error {
        Error::Rejected { http_status, message } if *http_status == status => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_ping_tells_good_credentials_from_bad_ones() {
    let running = start().await;
    running.client().ping().await.unwrap();
    let with = |config: ClientConfig| Client::new(config).unwrap();
    for (config, told) in [
        (ClientConfig { api_secret: SecretString::from("another"), ..running.config() }, "api_secret mismatch"),
        (ClientConfig { api_key: "another".into(), ..running.config() }, "unknown api_key"),
        (ClientConfig { cloud_name: "another".into(), ..running.config() }, "Invalid cloud_name another"),
    ] {
        assert_eq!(rejected(&with(config).ping().await.unwrap_err(), 401), told);
    }
    running.faults(json!({"fail_next": {"status": 503}})).await;
    assert!(matches!(running.client().ping().await, Err(Error::Unavailable { http_status: 503, .. })));
}

#[tokio::test]
async fn an_upload_is_kept_and_can_be_fetched() {
    let running = start().await;
    let client = running.client();
    let asset = client.upload(png(4, 3, 10), ImageFormat::Png, &options("products/Käse")).await.unwrap();
    assert_eq!(asset.public_id, id("products/Käse"));
    assert_eq!((asset.width, asset.height, asset.format.as_str()), (4, 3, "png"));
    assert_eq!((asset.bytes, asset.existing), (png(4, 3, 10).len() as u64, false));
    assert_eq!((asset.version, asset.created_at.timestamp()), (NOW.unsigned_abs(), NOW));
    assert_eq!((asset.asset_id.len(), asset.etag.len()), (32, 32));
    assert!(client.verify_upload_answer(asset.public_id.as_str(), asset.version, &asset.signature));
    let fetched = browser().get(&asset.secure_url).send().await.unwrap();
    assert_eq!(fetched.bytes().await.unwrap(), png(4, 3, 10));
}

#[tokio::test]
async fn a_picture_is_replaced_only_if_asked_for() {
    let running = start().await;
    let client = running.client();
    let keep = options("a");
    let replace = UploadOptions { overwrite: true, invalidate: true, ..options("a") };
    let first = client.upload(png(1, 1, 0), ImageFormat::Png, &keep).await.unwrap();
    let second = client.upload(png(2, 2, 0), ImageFormat::Png, &keep).await.unwrap();
    assert!(second.existing);
    assert_eq!((second.version, second.width), (first.version, 1));
    let third = client.upload(png(3, 3, 0), ImageFormat::Png, &replace).await.unwrap();
    assert_eq!((third.existing, third.width), (false, 3));
    assert!(third.version > first.version);
    assert_eq!(third.asset_id, first.asset_id);
    // The same name of another type is another picture.
    let private = UploadOptions { delivery_type: DeliveryType::Private, ..keep };
    let other = client.upload(gif(), ImageFormat::Gif, &private).await.unwrap();
    assert_eq!((other.existing, other.format.as_str()), (false, "gif"));
    assert_ne!(other.asset_id, first.asset_id);
}

#[tokio::test]
async fn of_two_uploads_at_once_one_is_kept() {
    let running = start().await;
    let client = running.client();
    let options = options("a");
    let (one, two) = tokio::join!(
        client.upload(png(1, 1, 0), ImageFormat::Png, &options),
        client.upload(png(2, 2, 0), ImageFormat::Png, &options),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.existing, two.existing);
    assert_eq!((one.asset_id, one.version, one.width), (two.asset_id, two.version, two.width));
}

#[tokio::test]
async fn the_content_decides_what_a_file_is() {
    let running = start().await;
    let client = running.client();
    let only_jpg = UploadOptions { allowed_formats: vec![ImageFormat::Jpg, ImageFormat::Webp], ..options("a") };
    let error = client.upload(png(1, 1, 0), ImageFormat::Jpg, &only_jpg).await.unwrap_err();
    assert_eq!(rejected(&error, 400), "Image file format png not allowed");
    for file in [&b"<svg/>"[..], b"MZ", b"\x89PNG\r\n"] {
        let error = client.upload(file.into(), ImageFormat::Png, &options("a")).await.unwrap_err();
        assert_eq!(rejected(&error, 400), "Invalid image file");
    }
    let error = client.upload(Vec::new().into(), ImageFormat::Png, &options("a")).await.unwrap_err();
    assert_eq!(rejected(&error, 400), "Empty file");
    let all = UploadOptions { allowed_formats: ImageFormat::ALL.to_vec(), ..options("a") };
    assert_eq!(client.upload(gif(), ImageFormat::Png, &all).await.unwrap().format, "gif");
}

#[tokio::test]
async fn files_have_a_largest_size() {
    let running = start().await;
    let client = running.client();
    let error = client.upload(png(1, 1, MAX), ImageFormat::Png, &options("a")).await.unwrap_err();
    assert!(rejected(&error, 400).starts_with("File size too large. Got 4029. Maximum is 4000."), "{error}");
    // Beyond what the fake even reads.
    let error = client.upload(png(1, 1, 200_000), ImageFormat::Png, &options("a")).await.unwrap_err();
    rejected(&error, 413);
    // Not even sent.
    let error = client.upload(png(1, 1, MAX_FILE), ImageFormat::Png, &options("a")).await.unwrap_err();
    assert!(matches!(error, Error::FileTooLarge { max: MAX_FILE, .. }) && !error.is_transient(), "{error:?}");

    let full = UploadOptions { overwrite: true, ..options("a") };
    for public_id in ["a", "b"] {
        client.upload(png(1, 1, 3900), ImageFormat::Png, &options(public_id)).await.unwrap();
    }
    let error = client.upload(png(1, 1, 3900), ImageFormat::Png, &options("c")).await.unwrap_err();
    rejected(&error, 403);
    // What is replaced makes room.
    client.upload(png(1, 1, 3950), ImageFormat::Png, &full).await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_shown_nowhere() {
    let running = start().await;
    let with = |change: &dyn Fn(&mut ClientConfig)| {
        let mut config = running.config();
        change(&mut config);
        Client::new(config).unwrap()
    };
    for (client, text) in [
        (with(&|config| config.api_secret = SecretString::from("other-secret")), "api_secret mismatch"),
        (with(&|config| config.api_key = "99".to_owned()), "unknown api_key"),
        (with(&|config| config.cloud_name = "other".to_owned()), "Invalid cloud_name other"),
    ] {
        let uploaded = client.upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap_err();
        let destroyed = client.destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, true).await.unwrap_err();
        for error in [uploaded, destroyed] {
            assert_eq!(rejected(&error, 401), text);
            assert!(!error.is_transient());
            let shown = format!("{client:?} {error:?} {error}");
            assert!(!shown.contains("other-secret") && !shown.contains(SECRET), "{shown}");
        }
    }
    // Nothing was kept.
    let gone = running.client().destroy(ResourceType::Image, &id("a"), DeliveryType::Upload, true).await.unwrap();
    assert_eq!(gone, Destroyed::NotFound);
}

#[tokio::test]
async fn what_is_destroyed_is_gone_and_cannot_be_destroyed_again() {
    let running = start().await;
    let client = running.client();
    let asset = client.upload(gif(), ImageFormat::Gif, &options("products/a")).await.unwrap();
    let destroy = |delivery_type| {
        let client = client.clone();
        async move { client.destroy(ResourceType::Image, &id("products/a"), delivery_type, true).await.unwrap() }
    };
    assert_eq!(destroy(DeliveryType::Authenticated).await, Destroyed::NotFound);
    assert_eq!(destroy(DeliveryType::Upload).await, Destroyed::Ok);
    assert_eq!(destroy(DeliveryType::Upload).await, Destroyed::NotFound);
    let fetched = browser().get(&asset.secure_url).send().await.unwrap();
    assert_eq!(fetched.status(), 404);
    assert_eq!(fetched.headers()["x-cld-error"], "Resource not found - products/a.gif");
    // A new picture of the old name has a new version, in the same second too.
    let again = client.upload(gif(), ImageFormat::Gif, &options("products/a")).await.unwrap();
    assert!(again.version > asset.version && !again.existing);
}

#[tokio::test]
async fn a_destruction_may_be_signed_and_is_checked() {
    let running = start().await;
    running.client().upload(gif(), ImageFormat::Gif, &options("a")).await.unwrap();
    let url = format!("{}/v1_1/{CLOUD}/image/destroy", running.url);
    let post = |body: Value| {
        let request = browser().post(&url).json(&body);
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let signed = |pairs: &[(&str, &str)]| {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.set(*name, value);
        }
        params.set("timestamp", NOW);
        let signature = sign(&params, &SecretString::from(SECRET), SignatureAlgorithm::Sha1);
        params.set("signature", signature);
        params.set("api_key", KEY);
        params.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Value>()
    };
    for (body, status, text) in [
        (json!({}), 400, "Upload preset must be specified when using unsigned upload"),
        (json!([]), 400, "The body is no JSON object"),
        (json!({ "public_id": ["a"] }), 400, "Invalid value [\"a\"] for parameter public_id"),
        (signed(&[]), 400, "Missing required parameter - public_id"),
        (signed(&[("public_id", "a"), ("type", "secret")]), 400, "Invalid value secret for parameter type"),
        (signed(&[("public_id", "a"), ("invalidate", "yes")]), 400, "Invalid value yes for parameter invalidate"),
        (signed(&[("public_id", "a"), ("publicId", "b")]), 400, "This fake does not know the parameter publicId"),
    ] {
        let (given, answer) = post(body.clone()).await;
        assert_eq!((given, message(&answer)), (status, text), "{body}");
    }
    let mut forged = signed(&[("public_id", "b")]);
    forged["public_id"] = json!("a");
    assert_eq!(post(forged).await.0, 401);
    assert_eq!(post(signed(&[("public_id", "a")])).await, (200, json!({ "result": "ok" })));
    assert_eq!(post(signed(&[("public_id", "a//b")])).await, (200, json!({ "result": "not found" })));
}
