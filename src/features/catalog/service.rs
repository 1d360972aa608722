//! Reading and keeping the catalogue.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::cache::CachedProduct;
use super::list::{self, Filter, Sort};
use super::model::{ImageType, Listed, OptionValue, ProductView};
use super::store::{self, NewImage, ProductChange, ProductFields, VariantFields};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::inventory::{self, NewLevel};
use crate::platform::crypto::sha256;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::{Envelope, RequestMeta};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::page::{Page, Pagination};
use crate::platform::text::slugify;

/// One product, as `GET /products/{id}` answers it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProductData {
    pub(super) product: ProductView,
}

pub(super) async fn list_products(
    app: &App,
    filter: &Filter,
    sort: Sort,
    page: Page,
) -> Result<(Vec<ProductView>, Pagination)> {
    let (rows, total) = list::list(&mut *app.db.acquire().await?, filter, sort, page).await?;
    let base = app.config.public_url();
    Ok((rows.into_iter().map(|row| ProductView::new(row, &base)).collect(), page.of(total)))
}

/// A product for sale by id or slug, ready to be sent. Kept in memory until a write changes it.
pub(super) async fn get_product(app: &App, name: &str) -> Result<CachedProduct> {
    if let Some(cached) = app.product_cache.get(name).await {
        return Ok(cached);
    }
    let epoch = app.product_cache.epoch();
    let row = find(&mut *app.db.acquire().await?, name, false).await?;
    let (id, slug) = (row.id, row.slug.as_str().into());
    let body =
        serde_json::to_vec(&Envelope::of(ProductData { product: ProductView::new(row, &app.config.public_url()) }))
            .map_err(Error::internal)?;
    // Weak, because the same tag goes with the compressed body.
    let etag = format!("W/\"{}\"", hex::encode(&sha256(&body)[..12])).try_into().map_err(Error::internal)?;
    let cached = CachedProduct { id, slug, body: Bytes::from(body), etag };
    app.product_cache.put(cached.clone(), &epoch).await;
    Ok(cached)
}

async fn find(connection: &mut PgConnection, name: &str, all: bool) -> Result<Listed> {
    store::find(connection, name.parse().ok(), name, all).await?.ok_or(Error::NotFound("The product"))
}

/// The first products of the demo's front page: title, picture, price.
///
/// # Errors
/// When the database does not answer.
pub async fn front_page(app: &App, limit: i64) -> Result<Vec<Value>> {
    let page = Page { number: 1, limit };
    let (rows, _) = list::list(&mut *app.db.acquire().await?, &Filter::default(), Sort::Newest, page).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let first = row.variants.iter().map(|v| v.price_minor).min().unwrap_or(row.price_minor);
            json!({
                "title": row.title,
                "image_url": row.images.first().map(|image| image.url.clone()),
                "price_minor": first,
                "currency": row.currency,
                "url": format!("/api/v1/products/{}", row.slug),
                "from": row.variants.iter().any(|v| v.price_minor != first),
            })
        })
        .collect())
}

/// How many products there are, archived ones included.
///
/// # Errors
/// When the database does not answer.
pub async fn count_products(app: &App) -> Result<i64> {
    Ok(store::count_products(&mut *app.db.acquire().await?).await?)
}

#[derive(Debug)]
pub(super) struct NewProduct {
    pub sku: String,
    pub title: String,
    pub slug: Option<String>,
    pub short_description: String,
    pub description: String,
    pub full_story: String,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub category_id: Option<CategoryId>,
    pub tags: Vec<String>,
    pub weight_grams: Option<i32>,
    pub width: Option<f64>,
    pub length: Option<f64>,
    pub dimension_unit: String,
    pub weave_origin: String,
    pub care_instructions: String,
    pub dispatch_time: String,
    pub is_featured: bool,
    pub is_limited: bool,
    pub is_active: bool,
    pub metadata: Value,
    pub images: Vec<(String, String, ImageType)>,
    pub variants: Vec<NewVariant>,
    /// Stock of a product without variants.
    pub inventory: i32,
}

#[derive(Debug)]
pub(super) struct NewVariant {
    pub sku: String,
    pub options: Vec<OptionValue>,
    pub price_minor: i64,
    pub compare_at_minor: Option<i64>,
    pub inventory: i32,
    pub image_url: Option<String>,
}

pub(super) async fn create_product(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: NewProduct,
) -> Result<ProductView> {
    let slug = match &new.slug {
        Some(slug) => slug.clone(),
        None => slugify(&new.title),
    };
    if slug.is_empty() || slug != slugify(&slug) {
        return Err(Error::field("slug", "must have lower-case letters and digits, joined by single hyphens"));
    }
    let (id, now) = (ProductId::new(), app.clock.now());
    let mut tx = app.db.begin().await?;
    let fields = ProductFields {
        id,
        sku: &new.sku,
        title: &new.title,
        slug: &slug,
        short_description: &new.short_description,
        description: &new.description,
        full_story: &new.full_story,
        currency: &app.config.store.currency,
        price_minor: new.price_minor,
        compare_at_minor: new.compare_at_minor,
        category_id: new.category_id,
        vendor: None,
        tags: &new.tags,
        weight_grams: new.weight_grams,
        width: new.width,
        length: new.length,
        dimension_unit: &new.dimension_unit,
        weave_origin: &new.weave_origin,
        care_instructions: &new.care_instructions,
        dispatch_time: &new.dispatch_time,
        is_featured: new.is_featured,
        is_limited: new.is_limited,
        is_active: new.is_active,
        metadata: &new.metadata,
    };
    store::insert_product(&mut tx, &fields, now).await.map_err(refusal)?;
    let images: Vec<_> = new.images.iter().map(|(url, alt, kind)| NewImage { url, alt, kind: kind.as_str() }).collect();
    store::replace_images(&mut tx, id, &images).await?;
    let only = [NewVariant {
        sku: new.sku.clone(),
        options: Vec::new(),
        price_minor: new.price_minor,
        compare_at_minor: new.compare_at_minor,
        inventory: new.inventory,
        image_url: None,
    }];
    let variants = if new.variants.is_empty() { &only[..] } else { &new.variants[..] };
    let rows: Vec<_> = variants
        .iter()
        .map(|v| VariantFields {
            sku: &v.sku,
            options: json!(v.options),
            price_minor: v.price_minor,
            compare_at_minor: v.compare_at_minor,
            barcode: None,
            weight_grams: None,
            image_url: v.image_url.as_deref(),
        })
        .collect();
    let stored = store::upsert_variants(&mut tx, id, &rows, now).await.map_err(refusal)?;
    let taken: Vec<_> = (0..)
        .zip(&rows)
        .filter(|(_, row)| !stored.iter().any(|s| s.sku == row.sku))
        .map(|(i, _): (usize, _)| {
            let field = if new.variants.is_empty() { "sku".to_owned() } else { format!("variants[{i}].sku") };
            FieldError::new(field, "is the sku of another product's variant")
        })
        .collect();
    if !taken.is_empty() {
        return Err(Error::Conflict { message: "Another product has a variant with this sku.".into(), details: taken });
    }
    let levels: Vec<_> = stored
        .iter()
        .filter_map(|s| {
            let on_hand = variants.iter().find(|v| v.sku == s.sku)?.inventory;
            Some(NewLevel { variant_id: s.id, on_hand })
        })
        .collect();
    inventory::receive(&mut tx, &levels, "initial", now).await?;
    let row = find(&mut tx, &id.to_string(), true).await?;
    let view = ProductView::new(row, &app.config.public_url());
    record(&mut tx, app, actor, meta, "product.create", id, None, Some(json!(view))).await?;
    tx.commit().await?;
    app.product_cache.forget(&[id]).await;
    Ok(view)
}

pub(super) async fn update_product(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: ProductId,
    version: i32,
    change: ProductChange,
) -> Result<ProductView> {
    if let Some(slug) = &change.slug
        && (slug.is_empty() || *slug != slugify(slug))
    {
        return Err(Error::field("slug", "must have lower-case letters and digits, joined by single hyphens"));
    }
    let now = app.clock.now();
    let base = app.config.public_url();
    let mut tx = app.db.begin().await?;
    let before = ProductView::new(find(&mut tx, &id.to_string(), true).await?, &base);
    if !store::update_product(&mut tx, id, version, &change, now).await.map_err(refusal)? {
        return Err(Error::conflict(
            "Somebody else has changed this product meanwhile. Load it again and repeat your change.",
        ));
    }
    let view = ProductView::new(find(&mut tx, &id.to_string(), true).await?, &base);
    record(&mut tx, app, actor, meta, "product.update", id, Some(json!(before)), Some(json!(view))).await?;
    tx.commit().await?;
    app.product_cache.forget(&[id]).await;
    Ok(view)
}

pub(super) async fn delete_product(app: &App, actor: &Identity, meta: &RequestMeta, id: ProductId) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if !store::archive_product(&mut tx, id, app.clock.now()).await? {
        return Err(Error::NotFound("The product"));
    }
    record(&mut tx, app, actor, meta, "product.delete", id, None, None).await?;
    tx.commit().await?;
    app.product_cache.forget(&[id]).await;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "an audit entry has that many parts")]
async fn record(
    tx: &mut PgConnection,
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    action: &'static str,
    id: ProductId,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let entry =
        audit::Entry { actor: Some(actor), action, entity: "product", entity_id: Some(id.to_string()), before, after };
    audit::record(tx, entry, meta, app.clock.now()).await
}

/// Says in the shop's words which rule of the database was broken.
pub(super) fn refusal(error: sqlx::Error) -> Error {
    let (field, message) = match violated_constraint(&error) {
        Some("products_sku_key") => ("sku", "is the sku of another product"),
        Some("variants_sku_key") => ("sku", "is the sku of another product's variant"),
        Some("products_slug_key") => ("slug", "is the slug of another product"),
        Some("variants_options_key") => ("variants", "has the same combination of options twice"),
        Some("products_category_id_fkey") => return Error::field("categoryId", "is not a category"),
        Some("variants_price_minor_check") => {
            return Error::field("price", "would bring a variant's price below zero or above the limit");
        }
        Some("categories_slug_key") => ("name", "is the name of another category"),
        Some("categories_parent_id_fkey") => return Error::field("parentId", "is not a category"),
        _ => return error.into(),
    };
    Error::Conflict { message: format!("{field}: {message}."), details: vec![FieldError::new(field, message)] }
}
