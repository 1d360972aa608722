//! The pictures of a product.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::images_model::ImageType;
use super::model::{Listed, ProductView};
use super::service::ProductData;
use super::staff_service::{Deed, record, stale};
use super::store::find;
use super::store::images::{self, Picture};
use crate::app::App;
use crate::features::media::{self, MAX_IMAGES};
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::{AssetId, ImageId, ProductId};

/// Where a picture comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The shop's own library.
    Asset(AssetId),
    /// An address.
    Url(String),
}

/// One change of a product's pictures. The first picture is the main one: whatever becomes main becomes first.
#[derive(Debug)]
pub(super) enum Change {
    /// Adds one at the end, or, as the main one, before all others.
    Add { source: Source, alt: Option<String>, kind: Option<ImageType> },
    /// Changes what is said of one.
    Describe { image: ImageId, alt: Option<String>, kind: Option<ImageType> },
    /// Takes one off.
    Remove(ImageId),
    /// Puts all into this order.
    Order(Vec<ImageId>),
}

/// A change that was made and is not on record yet.
struct Changed {
    before: Value,
    after: Value,
    product: ProductView,
}

/// Changes a product's pictures, and with them its version. With a version, only if it is the current one.
pub(super) async fn change(app: &App, deed: Deed<'_>, version: Option<i32>, change: Change) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    let Changed { before, after, product } = change_in(&mut tx, app, deed.id, version, change).await?;
    record(&mut tx, app, deed, Some(before), Some(after)).await?;
    tx.commit().await?;
    app.product_cache.forget(&[deed.id]).await;
    Ok(product)
}

/// The same for a change that creates something, once for each key.
pub(super) async fn change_once(
    app: &App,
    deed: Deed<'_>,
    version: Option<i32>,
    change: Change,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let Changed { before, after, product } = change_in(&mut tx, app, deed.id, version, change).await?;
        let answer = tx.answer(201, ProductData { product }).await?;
        record(&mut tx, app, deed, Some(before), Some(after)).await?;
        Ok(answer)
    }
    .await;
    let answer = tx.end(done).await?;
    app.product_cache.forget(&[deed.id]).await;
    Ok(answer)
}

async fn change_in(
    tx: &mut PgConnection,
    app: &App,
    id: ProductId,
    version: Option<i32>,
    change: Change,
) -> Result<Changed> {
    let current = images::touch(tx, id, app.clock.now()).await?.ok_or(Error::NotFound("The product"))?;
    if version.is_some_and(|version| version != current) {
        return Err(stale());
    }
    let read = async |c: &mut PgConnection| find(c, Some(id), "", true).await?.ok_or(Error::NotFound("The product"));
    let pictures = |row: &Listed| json!({ "images": &row.images.0 });
    let before = read(tx).await?;
    apply(tx, app, &before, id, change).await?;
    let after = read(tx).await?;
    Ok(Changed {
        before: pictures(&before),
        after: pictures(&after),
        product: ProductView::for_staff(after, &app.config.public_url(), &app.media),
    })
}

async fn apply(tx: &mut PgConnection, app: &App, before: &Listed, product: ProductId, change: Change) -> Result<()> {
    let missing = Error::NotFound("The picture");
    match change {
        Change::Add { source, alt, kind } => {
            if before.images.len() >= MAX_IMAGES {
                return Err(full());
            }
            let (url, asset, own_alt) = match source {
                Source::Url(url) => (app.media.stored_url(&url), None, String::new()),
                Source::Asset(id) => {
                    let asset = media::find_asset(tx, id).await?.ok_or_else(no_asset)?;
                    (asset.url, Some(id), asset.alt)
                }
            };
            let alt = alt.unwrap_or(own_alt);
            let is_first = before.images.is_empty() || kind == Some(ImageType::Main);
            let kind = if is_first { ImageType::Main } else { kind.unwrap_or(ImageType::Detail) };
            let picture = Picture { url: &url, alt: &alt, kind: kind.as_str(), asset };
            images::add(tx, product, &picture, is_first).await.map_err(refusal)
        }
        Change::Describe { image, alt, kind } => {
            let place = before.images.iter().position(|known| known.id == image).ok_or(missing)?;
            match (place, kind) {
                (0, Some(kind)) if kind != ImageType::Main => {
                    return Err(Error::field(
                        "type",
                        "must be main, as it is the first picture; put another one first",
                    ));
                }
                (1.., Some(ImageType::Main)) => {
                    let mut order: Vec<ImageId> = before.images.iter().map(|known| known.id).collect();
                    order[..=place].rotate_right(1);
                    images::order(tx, product, &order).await.map_err(refusal)?;
                }
                _ => {}
            }
            let kind = kind.map(ImageType::as_str);
            images::describe(tx, product, image, alt.as_deref(), kind).await.map_err(refusal)?;
            Ok(())
        }
        Change::Remove(image) => {
            if images::remove(tx, product, image).await.map_err(refusal)? {
                Ok(())
            } else {
                Err(missing)
            }
        }
        Change::Order(order) => {
            let ids: Vec<ImageId> = before.images.iter().map(|image| image.id).collect();
            check_order(&ids, &order)?;
            images::order(tx, product, &order).await.map_err(refusal)
        }
    }
}

/// An order names each picture of the product exactly once.
fn check_order(ids: &[ImageId], order: &[ImageId]) -> Result<()> {
    let mut faults = Vec::new();
    for (i, id) in order.iter().enumerate() {
        if order[..i].contains(id) {
            faults.push(FieldError::new(format!("images[{i}]"), "is there twice"));
        } else if !ids.contains(id) {
            faults.push(FieldError::new(format!("images[{i}]"), "is not a picture of this product"));
        }
    }
    let left_out = ids.iter().filter(|id| !order.contains(id)).count();
    if left_out > 0 {
        let message = format!("must name every picture of the product; {left_out} left out");
        faults.push(FieldError::new("images", message));
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

fn full() -> Error {
    Error::conflict(format!("A product has at most {MAX_IMAGES} pictures. Remove one first."))
}

fn no_asset() -> Error {
    Error::field("assetId", "is not a picture of the library")
}

fn refusal(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("product_images_ten") => full(),
        // It was deleted between the look and the insert.
        Some("product_images_asset_id_fkey") => no_asset(),
        _ => error.into(),
    }
}
