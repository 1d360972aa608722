//! The demo catalogue's pictures, drawn by the program when they are first asked for.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use super::demo::weave;
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::PathName;

/// The pictures under `/media/demo`.
pub fn routes() -> Router<App> {
    Router::new().route("/media/demo/{file}", get(demo_picture))
}

async fn demo_picture(PathName(file): PathName) -> Result<Response> {
    static DRAWN: OnceLock<Mutex<HashMap<String, Bytes>>> = OnceLock::new();
    let drawn = DRAWN.get_or_init(Mutex::default);
    let missing = || Error::NotFound("The picture");
    let name = file.strip_suffix(".png").ok_or_else(missing)?.to_owned();
    let known = drawn.lock().ok().and_then(|drawn| drawn.get(&name).cloned());
    let png = match known {
        Some(png) => png,
        None => {
            let work = name.clone();
            let png = tokio::task::spawn_blocking(move || weave::draw(&work)).await.map_err(Error::internal)?;
            let png = Bytes::from(png.ok_or_else(missing)?);
            if let Ok(mut drawn) = drawn.lock() {
                drawn.insert(name, png.clone());
            }
            png
        }
    };
    Ok(([(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "public, max-age=86400")], png).into_response())
}
