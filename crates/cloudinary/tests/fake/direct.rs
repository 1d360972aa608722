//! A browser's own upload with a signed form.

use std::collections::BTreeMap;

use crate::common::{KEY, NOW, gif, message, options, png, post, start};
use cloudinary::{Asset, DirectUpload, ImageFormat, UploadOptions};
use serde_json::Value;

fn form(running: &crate::common::Running, now: i64) -> DirectUpload {
    let options = UploadOptions {
        asset_folder: Some("Summer".to_owned()),
        allowed_formats: vec![ImageFormat::Png, ImageFormat::Jpg],
        context: [("alt", r"A & B = C | D \ E"), ("by", "Ama")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..options("products/shirt")
    };
    running.client().direct_upload(&options, now)
}

fn with(form: &DirectUpload, name: &str, value: &str) -> BTreeMap<String, String> {
    let mut fields = form.fields.clone();
    fields.insert(name.to_owned(), value.to_owned());
    fields
}

fn without(form: &DirectUpload, name: &str) -> BTreeMap<String, String> {
    let mut fields = form.fields.clone();
    assert!(fields.remove(name).is_some(), "{name}");
    fields
}

#[tokio::test]
async fn a_browser_uploads_with_the_form_and_cannot_replace_with_it() {
    let running = start().await;
    let form = form(&running, NOW);
    let (status, answer) = post(&form.url, &form.fields, Some(png(4, 3, 0))).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["original_filename"], "My shirt");
    assert_eq!(answer["asset_folder"], "Summer");
    assert_eq!(answer["context"]["custom"]["alt"], r"A & B = C | D \ E");
    assert_eq!(answer["context"]["custom"]["by"], "Ama");
    let asset: Asset = serde_json::from_value(answer).unwrap();
    let client = running.client();
    assert!(client.verify_upload_answer("products/shirt", asset.version, &asset.signature));
    assert!(!client.verify_upload_answer("products/trousers", asset.version, &asset.signature));

    let (status, answer) = post(&form.url, &form.fields, Some(png(9, 9, 0))).await;
    assert_eq!((status.as_u16(), &answer["existing"], &answer["width"]), (200, &Value::from(true), &Value::from(4)));
}

#[tokio::test]
async fn only_what_was_signed_is_taken() {
    let running = start().await;
    let form = form(&running, NOW);
    let changed = [
        ("public_id", "products/other"),
        ("overwrite", "true"),
        ("allowed_formats", "png,jpg,gif"),
        ("asset_folder", "Winter"),
        ("type", "private"),
        ("context", "alt=Else"),
        ("timestamp", "1800000001"),
        ("signature", "00"),
        // Added ones.
        ("tags", "sale"),
        ("eager", "w_400"),
        ("upload_preset", "open"),
        ("notification_url", "https://elsewhere.example"),
    ];
    for (name, value) in changed {
        let (status, answer) = post(&form.url, &with(&form, name, value), Some(png(1, 1, 0))).await;
        assert_eq!(status, 401, "{name}");
        let told = message(&answer);
        assert!(
            told.starts_with("Invalid Signature ") && told.contains("String to sign - 'allowed_formats="),
            "{told}"
        );
    }
    for name in ["overwrite", "allowed_formats", "asset_folder", "type", "context", "public_id"] {
        let (status, _) = post(&form.url, &without(&form, name), Some(png(1, 1, 0))).await;
        assert_eq!(status, 401, "{name}");
    }
    // One parameter cannot be hidden in another: the text is the same, the pairs are not.
    let mut smuggled = without(&form, "overwrite");
    smuggled.insert("context".to_owned(), format!("{}&overwrite=false", form.fields["context"]));
    assert_eq!(post(&form.url, &smuggled, Some(png(1, 1, 0))).await.0, 401);
    // The name of another format than the allowed ones does not help.
    assert_eq!(post(&form.url, &form.fields, Some(gif())).await.0, 400);
    // Nothing of all this was kept.
    let (_, answer) = post(&form.url, &form.fields, Some(png(1, 1, 0))).await;
    assert_eq!((&answer["existing"], &answer["width"]), (&Value::Null, &Value::from(1)));
}

#[tokio::test]
async fn a_form_is_good_for_an_hour() {
    let running = start().await;
    let old = form(&running, NOW - 3601);
    let (status, answer) = post(&old.url, &old.fields, Some(png(1, 1, 0))).await;
    assert_eq!(status, 400);
    let told = "Stale request - reported time is 2027-01-15 06:59:59 +0000 which is more than 1 hour ago";
    assert_eq!(message(&answer), told);
    let last = form(&running, NOW - 3600);
    assert_eq!(last.expires_at, NOW);
    assert_eq!(post(&last.url, &last.fields, Some(png(1, 1, 0))).await.0, 200);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let running = start().await;
    let form = form(&running, NOW);
    for (fields, status, text) in [
        (without(&form, "signature"), 400, "Upload preset must be specified when using unsigned upload"),
        (without(&form, "api_key"), 400, "Missing required parameter - api_key"),
        (without(&form, "timestamp"), 400, "Missing required parameter - timestamp"),
        (with(&form, "api_key", "99"), 401, "Unknown API key 99"),
        (with(&form, "timestamp", "soon"), 400, "Invalid value soon for parameter timestamp"),
        (form.fields.clone(), 400, "Missing required parameter - file"),
        (
            with(&form, "file", "https://elsewhere.example/a.png"),
            400,
            "This fake takes a file's bytes only, no address",
        ),
    ] {
        let (given, answer) = post(&form.url, &fields, None).await;
        assert_eq!((given.as_u16(), message(&answer)), (status, text));
    }
    // A form that gives a parameter twice is refused.
    let twice = reqwest::multipart::Form::new().text("public_id", "a").text("public_id", "b").text("api_key", KEY);
    let response = crate::common::browser().post(&form.url).multipart(twice).send().await.unwrap();
    assert_eq!(response.status(), 400);
    let response = crate::common::browser().post(&form.url).body("public_id=a").send().await.unwrap();
    assert_eq!(response.status(), 400);
}
