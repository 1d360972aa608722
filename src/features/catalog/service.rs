//! Reading the catalogue.

use bytes::Bytes;
use futures::FutureExt;
use serde::Serialize;
use sqlx::PgConnection;

use super::cache::CachedProduct;
use super::model::{Listed, ProductView};
use super::store::{self, slugs};
use crate::app::App;
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::Envelope;
use crate::platform::ids::{ProductId, VariantId};

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
    Box::pin(moved(app, name)).await
}

/// Where the product is that had this slug before.
async fn moved(app: &App, name: &str) -> Result<Named> {
    let successor = slugs::successor_of_product(&mut *app.db.acquire().await?, name).await?;
    successor.map(Named::Moved).ok_or(Error::NotFound("The product"))
}

async fn read_product(app: App, name: String) -> Result<Option<CachedProduct>> {
    let mut connection = app.db.acquire().await?;
    let found = store::find(&mut connection, name.parse().ok(), &name, false).await?;
    connection.done();
    let Some(row) = found else { return Ok(None) };
    let (id, slug) = (row.id, row.slug.as_str().into());
    let body = serde_json::to_vec(&Envelope::of(ProductData {
        product: ProductView::new(row, &app.config.public_url(), &app.media),
    }))
    .map_err(Error::internal)?;
    // Weak, because the same tag goes with the compressed body.
    let etag = format!("W/\"{}\"", hex::encode(&sha256(&body)[..12])).try_into().map_err(Error::internal)?;
    Ok(Some(CachedProduct { id, slug, body: Bytes::from(body), etag, rest: None }))
}

/// A product as another list shows it, for sale or not.
#[derive(Debug)]
pub struct Shown {
    /// The product.
    pub id: ProductId,
    /// As everybody reads it.
    pub view: ProductView,
    /// Whether it is for sale.
    pub on_sale: bool,
    /// What is available of each variant that is for sale.
    pub stock: Vec<(VariantId, i32)>,
}

/// The products with these ids, archived ones too, in this order and as often as they are named.
///
/// # Errors
/// The database's.
pub async fn show_products(app: &App, c: &mut PgConnection, ids: &[ProductId]) -> Result<Vec<Shown>> {
    let base = app.config.public_url();
    let show = |row: Listed| Shown {
        id: row.id,
        on_sale: row.is_active && row.archived_at.is_none(),
        stock: row.variants.iter().map(|variant| (variant.id, variant.available)).collect(),
        view: ProductView::new(row, &base, &app.media),
    };
    Ok(store::find_many(c, ids).await?.into_iter().map(show).collect())
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
        Some("products_sku_lower_key" | "variants_sku_lower_key") => {
            ("sku", "is another product's, written with other upper and lower case; take that one or choose another")
        }
        Some("products_slug_key") => ("slug", "is the slug of another product"),
        Some("variants_options_key") => {
            ("variants", "has the same combination of options twice, maybe in another case")
        }
        Some("products_compare_at_above_price") => {
            ("compareAtPrice", "must be above the price; change both, or remove it with null")
        }
        Some("variants_compare_at_above_price") => {
            ("price", "would reach the price that a variant is compared with; change or remove that first")
        }
        // They were deleted between the look and the write.
        Some("product_images_asset_id_fkey") => ("images", "name a picture that has just been deleted"),
        Some("variants_asset_id_fkey") => ("image", "is a picture that has just been deleted"),
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
