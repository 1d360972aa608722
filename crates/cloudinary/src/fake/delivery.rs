//! Delivery of the kept pictures.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::Fake;
use super::answer::Refusal;
use super::store::Served;
use crate::delivery::url_signature;
use crate::public_id::is_version;
use crate::{DeliveryType, ImageFormat, PublicId, ResourceType, UrlSignature};

/// Crops that a gravity of `auto` goes with.
const AUTO_GRAVITY: [&str; 6] = ["auto", "crop", "fill", "fill_pad", "lfill", "thumb"];

/// What stands after the type in a delivery URL.
struct Asked<'a> {
    signature: Option<&'a str>,
    transformation: String,
    version: Option<u64>,
    file: String,
}

/// `GET /{cloud}/{image|raw}/{type}/[s--…--/][transformation/][v…/]public_id[.format]`.
pub(super) async fn deliver(
    State(fake): State<Fake>,
    Path((cloud, resource, delivery_type, path)): Path<(String, String, String, String)>,
) -> Result<Response, Refusal> {
    let not_found = |what: &str| Refusal::new(StatusCode::NOT_FOUND, format!("Resource not found - {what}"));
    let asked = read_path(&path);
    let resource: ResourceType = serde_json::from_value(Value::from(resource)).map_err(|_| not_found(&path))?;
    let delivery_type: DeliveryType =
        serde_json::from_value(Value::from(delivery_type)).map_err(|_| not_found(&path))?;
    if cloud != fake.0.config.cloud_name {
        return Err(not_found(&path));
    }
    check_signature(&fake, delivery_type, &asked)?;
    check_transformation(&asked.transformation)?;
    fake.0.store.with(|state| {
        // The end may be the wanted format, or part of the name.
        let is_format = |end: &str| resource == ResourceType::Image && end.parse::<ImageFormat>().is_ok();
        let without_format = asked.file.rsplit_once('.').filter(|(_, end)| is_format(end));
        let names = [without_format.map(|(name, _)| name), Some(asked.file.as_str())];
        let found = names.into_iter().flatten().find_map(|name| {
            let key = (resource, delivery_type, PublicId::new(name).ok()?);
            let kept = state.kept.get(&key)?.clone();
            Some((key.2, kept))
        });
        let (public_id, kept) = found.ok_or_else(|| not_found(&asked.file))?;
        state.note(Served { public_id, version: asked.version, transformation: asked.transformation });
        let content_type = kept.picture.map_or("application/octet-stream", |picture| picture.format.content_type());
        let headers = [
            (CONTENT_TYPE, content_type.to_owned()),
            (ETAG, format!("\"{}\"", kept.etag)),
            (CACHE_CONTROL, "public, no-transform, immutable, max-age=2592000".to_owned()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        Ok((headers, kept.file).into_response())
    })
}

/// All before a version is a transformation. Without a version, all that looks like
/// one is.
fn read_path(path: &str) -> Asked<'_> {
    let mut segments: Vec<&str> = path.split('/').collect();
    let is_signature = |text: &str| text.len() > 4 && text.starts_with("s--") && text.ends_with("--");
    let signature = (segments.len() > 1 && is_signature(segments[0])).then(|| segments.remove(0));
    let last = segments.len() - 1;
    let versioned = segments[..last].iter().position(|segment| is_version(segment));
    let looks_so = |segment: &&&str| segment.split(',').all(|part| pair(part).is_some());
    let steps = versioned.unwrap_or_else(|| segments[..last].iter().take_while(looks_so).count());
    let name = steps + usize::from(versioned.is_some());
    Asked {
        signature,
        transformation: segments[..steps].join("/"),
        version: versioned.and_then(|at| segments[at][1..].parse().ok()),
        file: segments[name..].join("/"),
    }
}

/// The name and value of `c_fill`.
fn pair(part: &str) -> Option<(&str, &str)> {
    let (name, value) = part.split_once('_')?;
    let fits = (1..=3).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase()) && !value.is_empty();
    fits.then_some((name, value))
}

fn check_signature(fake: &Fake, delivery_type: DeliveryType, asked: &Asked<'_>) -> Result<(), Refusal> {
    let config = &fake.0.config;
    let Some(given) = asked.signature else {
        let free = match delivery_type {
            DeliveryType::Upload => true,
            DeliveryType::Private => !asked.transformation.is_empty(),
            DeliveryType::Authenticated => false,
        };
        return if free { Ok(()) } else { Err(Refusal::unauthorized("This picture wants a signed URL")) };
    };
    let right = [UrlSignature::Short, UrlSignature::Long].into_iter().any(|kind| {
        let secret = &config.api_secret;
        let expected = url_signature(&asked.transformation, &asked.file, kind, secret, config.signature_algorithm);
        expected == given
    });
    if right { Ok(()) } else { Err(Refusal::unauthorized(format!("Invalid signature {given}"))) }
}

/// Refuses what Cloudinary refuses: no pairs, sizes of nothing, and a gravity that does
/// not go with the crop.
fn check_transformation(text: &str) -> Result<(), Refusal> {
    let invalid = |component: &str| Refusal::bad(format!("Invalid transformation component - {component}"));
    for component in text.split('/').filter(|_| !text.is_empty()) {
        let pairs: Option<Vec<_>> = component.split(',').map(pair).collect();
        let pairs = pairs.ok_or_else(|| invalid(component))?;
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let sized = |name: &str| value(name).is_none_or(|size| size.parse::<u32>().is_ok_and(|size| size > 0));
        let aimed = value("g") != Some("auto") || value("c").is_some_and(|crop| AUTO_GRAVITY.contains(&crop));
        if !(sized("w") && sized("h") && aimed) {
            return Err(invalid(component));
        }
    }
    Ok(())
}
