//! Delivery URLs, as the client makes them and the fake serves them.
#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

use std::num::NonZeroU16;

use crate::common::{CLOUD, Running, browser, gif, id, options, start};
use cloudinary::fake::Served;
use cloudinary::{
    Bounds, Delivery, DeliveryType, Destroyed, Gravity, ImageFormat, ResourceType, Transformation, UploadOptions,
    UrlSignature,
};

async fn get(url: &str) -> reqwest::Response {
    browser().get(url).send().await.unwrap()
}

fn small() -> Transformation {
    let px = NonZeroU16::new(40).unwrap();
    Transformation::new().fill(px, px, Gravity::Auto).limit(Bounds::Width(px)).auto_format().auto_quality()
}

async fn upload(running: &Running, public_id: &str, delivery_type: DeliveryType) -> u64 {
    let options = UploadOptions { delivery_type, ..options(public_id) };
    running.client().upload(gif(), ImageFormat::Gif, &options).await.unwrap().version
}

#[tokio::test]
async fn a_picture_is_served_under_every_url_made_for_it() {
    let running = start().await;
    let client = running.client();
    // Names that look like parts of a URL.
    for name in ["shirt", "products/shirt.new", "c_fill/w_1/v2", "Käse/上衣", "s--a--/b.gif"] {
        let public_id = id(name);
        let version = upload(&running, name, DeliveryType::Upload).await;
        let plain = Delivery::new(&public_id, version);
        for signature in [None, Some(UrlSignature::Short), Some(UrlSignature::Long)] {
            for transformation in [Transformation::new(), small()] {
                for format in [None, Some(ImageFormat::Webp)] {
                    let transformation = transformation.clone();
                    let wanted = transformation.to_string();
                    let url = client.delivery_url(&Delivery { signature, transformation, format, ..plain.clone() });
                    let response = get(&url).await;
                    assert_eq!(response.status(), 200, "{url}");
                    assert_eq!(response.headers()["content-type"], "image/gif");
                    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
                    assert_eq!(response.headers()["access-control-allow-origin"], "*");
                    assert_eq!(response.bytes().await.unwrap(), gif());
                    let public_id = public_id.clone();
                    let served = Served { public_id, version: Some(version), transformation: wanted };
                    assert_eq!(running.fake.served().last(), Some(&served), "{url}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_url_may_lack_the_version_and_a_wrong_one_is_served_too() {
    let running = start().await;
    upload(&running, "products/shirt", DeliveryType::Upload).await;
    let base = format!("{}/{CLOUD}/image/upload", running.url);
    for (path, version, transformation) in [
        ("products/shirt.gif", None, ""),
        ("c_fit,w_40/f_auto/products/shirt", None, "c_fit,w_40/f_auto"),
        ("w_40/v7/products/shirt.png", Some(7), "w_40"),
    ] {
        assert_eq!(get(&format!("{base}/{path}")).await.status(), 200, "{path}");
        let served = running.fake.served().pop().unwrap();
        assert_eq!((served.version, served.transformation.as_str()), (version, transformation));
        assert_eq!(served.public_id, id("products/shirt"));
    }
}

#[tokio::test]
async fn a_private_picture_wants_a_signature_that_fits() {
    let running = start().await;
    let client = running.client();
    let public_id = id("a");
    for (delivery_type, original, derived) in
        [(DeliveryType::Upload, 200, 200), (DeliveryType::Private, 401, 200), (DeliveryType::Authenticated, 401, 401)]
    {
        let version = upload(&running, "a", delivery_type).await;
        let plain = Delivery { delivery_type, ..Delivery::new(&public_id, version) };
        assert_eq!(get(&client.delivery_url(&plain)).await.status(), original, "{delivery_type:?}");
        let transformed = Delivery { transformation: small(), ..plain.clone() };
        assert_eq!(get(&client.delivery_url(&transformed)).await.status(), derived, "{delivery_type:?}");
        for signature in [UrlSignature::Short, UrlSignature::Long] {
            let signed = client.delivery_url(&Delivery { signature: Some(signature), ..transformed.clone() });
            assert_eq!(get(&signed).await.status(), 200, "{signed}");
            let forged = signed.replace("w_40", "w_41");
            let response = get(&forged).await;
            assert_eq!(response.status(), 401, "{forged}");
            assert!(response.headers()["x-cld-error"].to_str().unwrap().starts_with("Invalid signature s--"));
        }
    }
    // The address in an upload's answer works for all of them.
    let hidden = UploadOptions { delivery_type: DeliveryType::Authenticated, ..options("b") };
    let asset = client.upload(gif(), ImageFormat::Gif, &hidden).await.unwrap();
    assert_eq!(get(&asset.secure_url).await.status(), 200, "{}", asset.secure_url);
}

#[tokio::test]
async fn what_cloudinary_would_not_serve_is_refused() {
    let running = start().await;
    upload(&running, "a", DeliveryType::Upload).await;
    for (path, status) in [
        ("demo/image/upload/v1/b.gif", 404),
        ("demo/image/private/v1/a.gif", 401),
        ("demo/image/elsewhere/v1/a.gif", 404),
        ("other/image/upload/v1/a.gif", 404),
        ("demo/video/upload/v1/a.gif", 404),
        ("demo/image/upload/v1/a.gif/..%2F..%2Fa", 404),
        ("demo/image/upload/w_0/v1/a.gif", 400),
        ("demo/image/upload/nonsense/v1/a.gif", 400),
        ("demo/image/upload/c_fit,g_auto,w_4/v1/a.gif", 400),
        ("demo/image/upload/g_auto,w_4/v1/a.gif", 400),
        ("demo/image/upload/c_thumb,g_auto,w_4/v1/a.gif", 200),
    ] {
        assert_eq!(get(&format!("{}/{path}", running.url)).await.status(), status, "{path}");
    }
    assert_eq!(running.fake.served().len(), 1);
}

#[tokio::test]
async fn a_raw_file_comes_back_as_it_went_to_whoever_may_have_it() {
    let running = start().await;
    let client = running.client();
    let name = id("documents/a.bin");
    let options = UploadOptions { delivery_type: DeliveryType::Authenticated, ..UploadOptions::new(name.clone()) };
    let sent: &[u8] = b"\0no picture";
    let asset = client.upload_raw(sent.into(), &options).await.unwrap();
    assert_eq!((asset.public_id.as_str(), asset.bytes), ("documents/a.bin", 11));
    let delivery = Delivery {
        delivery_type: DeliveryType::Authenticated,
        resource: ResourceType::Raw,
        ..Delivery::new(&name, asset.version)
    };
    assert_eq!(get(&client.delivery_url(&delivery)).await.status(), 401);
    let signed = Delivery { signature: Some(UrlSignature::Short), ..delivery };
    let url = client.delivery_url(&signed);
    assert!(url.contains("/raw/authenticated/s--"), "{url}");
    assert_eq!(get(&url).await.bytes().await.unwrap(), sent);

    let destroy = |resource| {
        let (client, name) = (client.clone(), name.clone());
        async move { client.destroy(resource, &name, DeliveryType::Authenticated, true).await.unwrap() }
    };
    assert_eq!(destroy(ResourceType::Image).await, Destroyed::NotFound);
    assert_eq!(destroy(ResourceType::Raw).await, Destroyed::Ok);
    assert_eq!(get(&url).await.status(), 404);
}
