//! The pictures of a product.

use serde_json::json;
use sqlx::PgConnection;

use super::model::{ImageType, Listed, ProductView};
use super::staff_service::{Deed, record};
use super::store::find;
use super::store::images::{self, Picture};
use crate::app::App;
use crate::features::auth::Identity;
use crate::features::media::{self, MAX_IMAGES};
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{AssetId, ImageId, ProductId};

/// Where a picture comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The shop's own library.
    Asset(AssetId),
    /// An address.
    Url(String),
}

/// One change of a product's pictures.
#[derive(Debug)]
pub(super) enum Change {
    /// Adds one at the end.
    Add { source: Source, alt: Option<String>, kind: Option<ImageType> },
    /// Changes what is said of one.
    Describe { image: ImageId, alt: Option<String>, kind: Option<ImageType> },
    /// Takes one off.
    Remove(ImageId),
    /// Puts all into this order.
    Order(Vec<ImageId>),
}

impl Change {
    fn action(&self) -> &'static str {
        match self {
            Self::Add { .. } => "product.add_image",
            Self::Describe { .. } => "product.update_image",
            Self::Remove(_) => "product.remove_image",
            Self::Order(_) => "product.order_images",
        }
    }
}

/// Changes a product's pictures, and with them its version.
pub(super) async fn change(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    product: ProductId,
    change: Change,
) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    if !images::touch(&mut tx, product, app.clock.now()).await? {
        return Err(Error::NotFound("The product"));
    }
    let read =
        async |c: &mut PgConnection| find(c, Some(product), "", true).await?.ok_or(Error::NotFound("The product"));
    let before = read(&mut tx).await?;
    let action = change.action();
    apply(&mut tx, app, &before, product, change).await?;
    let after = read(&mut tx).await?;
    let pictures = |row: &Listed| Some(json!({ "images": &row.images.0 }));
    let deed = Deed { actor, meta, action, id: product };
    record(&mut tx, app, deed, pictures(&before), pictures(&after)).await?;
    tx.commit().await?;
    app.product_cache.forget(&[product]).await;
    Ok(ProductView::new(after, &app.config.public_url(), &app.media))
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
            let default = if before.images.is_empty() { ImageType::Main } else { ImageType::Detail };
            let picture = Picture { url: &url, alt: &alt, kind: kind.unwrap_or(default).as_str(), asset };
            images::add(tx, product, &picture).await.map_err(refusal)
        }
        Change::Describe { image, alt, kind } => {
            let kind = kind.map(ImageType::as_str);
            let known = images::describe(tx, product, image, alt.as_deref(), kind).await.map_err(refusal)?;
            if known { Ok(()) } else { Err(missing) }
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
