//! Reading the catalogue.

use bytes::Bytes;
use futures::FutureExt;
use serde::Serialize;

use super::cache::CachedProduct;
use super::model::ProductView;
use super::store::{self, slugs};
use crate::app::App;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::Envelope;

/// One product, as `GET /products/{id}` answers it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProductData {
    pub(super) product: ProductView,
}

/// What a product's name in an address means.
#[derive(Debug)]
pub(super) enum Named {
    /// This product.
    Product(CachedProduct),
    /// The product that has this slug now.
    Moved(String),
}

/// A product for sale by id or slug, ready to be sent. Kept until a write changes it.
pub(super) async fn get_product(app: &App, name: &str) -> Result<Named> {
    let read = || read_product(app.clone(), name.to_owned()).boxed();
    if let Some(cached) = app.product_cache.get(name, read).await? {
        return Ok(Named::Product(cached));
    }
    let successor = slugs::successor_of_product(&mut *app.db.acquire().await?, name).await?;
    successor.map(Named::Moved).ok_or(Error::NotFound("The product"))
}

async fn read_product(app: App, name: String) -> Result<Option<CachedProduct>> {
    let Some(row) = store::find(&mut *app.db.acquire().await?, name.parse().ok(), &name, false).await? else {
        return Ok(None);
    };
    let (id, slug) = (row.id, row.slug.as_str().into());
    let body = serde_json::to_vec(&Envelope::of(ProductData {
        product: ProductView::new(row, &app.config.public_url(), &app.media),
    }))
    .map_err(Error::internal)?;
    // Weak, because the same tag goes with the compressed body.
    let etag = format!("W/\"{}\"", hex::encode(&sha256(&body)[..12])).try_into().map_err(Error::internal)?;
    Ok(Some(CachedProduct { id, slug, body: Bytes::from(body), etag, rest: None }))
}

/// How many products there are, archived ones included.
///
/// # Errors
/// When the database does not answer.
pub async fn count_products(app: &App) -> Result<i64> {
    Ok(store::count_products(&mut *app.db.acquire().await?).await?)
}

/// Says in the shop's words which rule of the database was broken.
pub(super) fn refusal(error: sqlx::Error) -> Error {
    let (field, message) = match violated_constraint(&error) {
        Some("products_sku_key") => ("sku", "is the sku of another product, maybe of an archived one"),
        Some("variants_sku_key") => ("sku", "is the sku of another product's variant"),
        Some("products_slug_key") => ("slug", "is the slug of another product"),
        Some("variants_options_key") => ("variants", "has the same combination of options twice"),
        Some("products_compare_at_above_price") => {
            ("compareAtPrice", "must be above the price; change both, or remove it with null")
        }
        Some("variants_compare_at_above_price") => {
            ("price", "would reach the price that a variant is compared with; change or remove that first")
        }
        Some("products_category_id_fkey") => return Error::field("categoryId", "is not a category"),
        Some("variants_price_minor_check") => {
            return Error::field("price", "would bring a variant's price below zero or above the limit");
        }
        Some("categories_slug_key") => ("slug", "is the slug of another category"),
        Some("categories_parent_id_fkey") => return Error::field("parentId", "is not a category"),
        Some("categories_no_cycle") => ("parentId", "is the category itself or one below it"),
        Some("categories_depth") => ("parentId", "is too far down; the tree has at most ten levels"),
        _ => return error.into(),
    };
    Error::Conflict { message: format!("{field}: {message}."), details: vec![FieldError::new(field, message)] }
}
