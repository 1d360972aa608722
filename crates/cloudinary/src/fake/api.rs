//! The upload API (Cloudinary's OpenAPI document, tag `upload`).

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::auth::{authorize, check_basic};
use super::picture::Picture;
use super::store::{Kept, Key};
use super::{Fake, FakeConfig};
use crate::config::web_url;
use crate::signature::upload_answer_signature;
use crate::{Delivery, DeliveryType, Params, PublicId, ResourceType, UrlSignature};

/// Parameters of every call.
const SIGNING: [&str; 3] = ["api_key", "timestamp", "signature"];
/// Parameters of an upload; nothing is done with the last three.
const OF_UPLOAD: [&str; 10] = [
    "public_id",
    "type",
    "overwrite",
    "allowed_formats",
    "asset_folder",
    "tags",
    "context",
    "invalidate",
    "transformation",
    "notification_url",
];
/// Parameters of a destruction.
const OF_DESTROY: [&str; 3] = ["public_id", "type", "invalidate"];
/// Length of a made-up public id, as Cloudinary's.
const RANDOM_ID_LEN: usize = 20;

type Answer = Result<Json<Value>, Refusal>;

/// `GET /v1_1/{cloud}/ping`.
pub(super) async fn ping(State(fake): State<Fake>, Path(cloud): Path<String>, headers: HeaderMap) -> Answer {
    if cloud != fake.0.config.cloud_name {
        return Err(Refusal::unauthorized(format!("Invalid cloud_name {cloud}")));
    }
    check_basic(&fake, &headers)?;
    Ok(Json(json!({ "status": "ok" })))
}

/// `POST /v1_1/{cloud}/{image|raw}/upload`.
pub(super) async fn upload(
    State(fake): State<Fake>,
    Path((cloud, resource)): Path<(String, ResourceType)>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Answer {
    let form = form.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
    let (params, file) = read_form(form).await?;
    authorize(&fake, &cloud, &headers, &params)?;
    check_names(&params, &OF_UPLOAD)?;
    let config = &fake.0.config;
    let key = (resource, delivery_type(&params)?, public_id(&params)?);
    let overwrite = flag(&params, "overwrite", true)?;
    flag(&params, "invalidate", false)?;
    let upload = file.ok_or_else(|| Refusal::missing("file"))?;
    if upload.bytes.is_empty() {
        return Err(Refusal::bad("Empty file"));
    }
    if upload.bytes.len() > config.max_file {
        let (size, max) = (upload.bytes.len(), config.max_file);
        return Err(Refusal::bad(format!("File size too large. Got {size}. Maximum is {max}.")));
    }
    let picture = match resource {
        ResourceType::Image => Some(Picture::read(&upload.bytes).ok_or_else(|| Refusal::bad("Invalid image file"))?),
        ResourceType::Raw => None,
    };
    if let (Some(picture), Some(allowed)) = (&picture, params.get("allowed_formats"))
        && !allowed.split(',').any(|name| name.trim().parse() == Ok(picture.format))
    {
        return Err(Refusal::bad(format!("Image file format {} not allowed", picture.format)));
    }
    let kept = Kept {
        asset_id: random_hex(),
        version: 0,
        picture,
        etag: short_digest(&upload.bytes),
        file: upload.bytes,
        created_at: DateTime::from_timestamp(config.clock.now(), 0).unwrap_or_default(),
        original_filename: upload.name,
        asset_folder: params.get("asset_folder").unwrap_or_default().to_owned(),
        tags: params.get("tags").map(|tags| tags.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        context: params.get("context").map(read_context).unwrap_or_default(),
    };
    fake.0.store.with(|state| {
        let before = state.kept.get(&key);
        if let Some(before) = before
            && !overwrite
        {
            let mut answer = describe(config, &key, before)?;
            answer.insert("existing".to_owned(), Value::from(true));
            return Ok(Json(Value::from(answer)));
        }
        let asset_id = before.map_or(kept.asset_id, |before| before.asset_id.clone());
        if state.size_without(&key).saturating_add(kept.file.len()) > config.max_kept {
            let max = config.max_kept;
            return Err(Refusal::new(StatusCode::FORBIDDEN, format!("This fake keeps no more than {max} bytes")));
        }
        let kept = Kept { asset_id, version: state.new_version(config.clock.now()), ..kept };
        let answer = describe(config, &key, &kept)?;
        state.kept.insert(key, kept);
        Ok(Json(Value::from(answer)))
    })
}

/// `POST /v1_1/{cloud}/{image|raw}/destroy`, with a body of JSON.
pub(super) async fn destroy(
    State(fake): State<Fake>,
    Path((cloud, resource)): Path<(String, ResourceType)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let body: BTreeMap<String, Value> =
        serde_json::from_slice(&body).map_err(|_| Refusal::bad("The body is no JSON object"))?;
    let mut params = Params::new();
    for (name, value) in body {
        match value {
            Value::String(text) => params.set(name, text),
            Value::Bool(_) | Value::Number(_) => params.set(name, value),
            _ => return Err(Refusal::invalid(&name, &value.to_string())),
        }
    }
    authorize(&fake, &cloud, &headers, &params)?;
    check_names(&params, &OF_DESTROY)?;
    let delivery_type = delivery_type(&params)?;
    flag(&params, "invalidate", false)?;
    let text = params.get("public_id").ok_or_else(|| Refusal::missing("public_id"))?;
    // What is no public id names no picture.
    let found = text.parse().is_ok_and(|public_id| {
        fake.0.store.with(|state| state.kept.remove(&(resource, delivery_type, public_id)).is_some())
    });
    Ok(Json(json!({ "result": if found { "ok" } else { "not found" } })))
}

/// The file of an upload.
struct Upload {
    /// As on the sender's disk, without its extension.
    name: String,
    bytes: Bytes,
}

/// Reads the parameters and the file, which must come once each.
async fn read_form(mut form: Multipart) -> Result<(Params, Option<Upload>), Refusal> {
    let unreadable = |error: MultipartError| Refusal::new(error.status(), error.body_text());
    let mut params = Params::new();
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        if params.get(&name).is_some() || (name == "file" && file.is_some()) {
            return Err(Refusal::bad(format!("The parameter {name} comes twice")));
        }
        if name == "file" {
            let stem = file_stem(&field)?;
            file = Some(Upload { name: stem, bytes: field.bytes().await.map_err(unreadable)? });
        } else {
            params.set(name, field.text().await.map_err(unreadable)?);
        }
    }
    Ok((params, file))
}

fn file_stem(field: &Field<'_>) -> Result<String, Refusal> {
    let name = field.file_name().ok_or_else(|| Refusal::bad("This fake takes a file's bytes only, no address"))?;
    Ok(name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned())
}

fn check_names(params: &Params, known: &[&str]) -> Result<(), Refusal> {
    match params.iter().find(|(name, _)| !known.contains(name) && !SIGNING.contains(name)) {
        Some((name, _)) => Err(Refusal::bad(format!("This fake does not know the parameter {name}"))),
        None => Ok(()),
    }
}

fn flag(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    match params.get(name) {
        None => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Refusal::invalid(name, other)),
    }
}

fn delivery_type(params: &Params) -> Result<DeliveryType, Refusal> {
    let Some(text) = params.get("type") else { return Ok(DeliveryType::Upload) };
    serde_json::from_value(Value::from(text)).map_err(|_| Refusal::invalid("type", text))
}

fn public_id(params: &Params) -> Result<PublicId, Refusal> {
    let random = || random_hex().chars().take(RANDOM_ID_LEN).collect();
    let text = params.get("public_id").map_or_else(random, str::to_owned);
    PublicId::new(&*text).map_err(|_| Refusal::bad(format!("public_id ({text}) is invalid")))
}

/// Reads `key=value|key=value` with its backslashes.
fn read_context(text: &str) -> BTreeMap<String, String> {
    let mut pairs = vec![(String::new(), None::<String>)];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let Some((key, value)) = pairs.last_mut() else { break };
        match (c, value) {
            ('|', _) => pairs.push(Default::default()),
            ('=', value @ None) => *value = Some(String::new()),
            (c, value) => value.as_mut().unwrap_or(key).extend(if c == '\\' { chars.next() } else { Some(c) }),
        }
    }
    pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// What Cloudinary answers about a picture or a file.
fn describe(config: &FakeConfig, key: &Key, kept: &Kept) -> Result<Map<String, Value>, Refusal> {
    let (resource, delivery_type, public_id) = key;
    let Kept { version, picture, .. } = *kept;
    let (secret, algorithm) = (&config.api_secret, config.signature_algorithm);
    let base = web_url(&config.public_url, "public URL")
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let delivery = Delivery {
        format: picture.map(|picture| picture.format),
        resource: *resource,
        delivery_type: *delivery_type,
        signature: (*delivery_type != DeliveryType::Upload).then_some(UrlSignature::Short),
        ..Delivery::new(public_id, version)
    };
    let url = delivery.url(&base, &config.cloud_name, secret, algorithm);
    let mut answer = json!({
        "asset_id": kept.asset_id,
        "public_id": public_id,
        "version": version,
        "version_id": short_digest(format!("{}/{version}", kept.asset_id).as_bytes()),
        "signature": upload_answer_signature(public_id.as_str(), version, secret, algorithm),
        "resource_type": resource,
        "created_at": kept.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "tags": kept.tags,
        "bytes": kept.file.len(),
        "type": delivery_type,
        "etag": kept.etag,
        "url": url,
        "secure_url": url,
        "asset_folder": kept.asset_folder,
        "display_name": public_id.as_str().rsplit('/').next(),
        "original_filename": kept.original_filename,
        "api_key": config.api_key,
    });
    if let Some(picture) = picture {
        answer["width"] = Value::from(picture.width);
        answer["height"] = Value::from(picture.height);
        answer["format"] = json!(picture.format);
        answer["placeholder"] = Value::from(false);
    }
    if !kept.context.is_empty() {
        answer["context"] = json!({ "custom": kept.context });
    }
    Ok(answer.as_object_mut().map(std::mem::take).unwrap_or_default())
}

/// 32 digits, as many as Cloudinary's MD5 has.
fn short_digest(bytes: &[u8]) -> String {
    let mut text = hex::encode(digest::digest(&digest::SHA256, bytes));
    text.truncate(32);
    text
}

fn random_hex() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
