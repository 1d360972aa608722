//! Keeping products.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::images_model::ImageType;
use super::listing::CategoryOf;
use super::model::{OptionValue, ProductView, StaffProductView};
use super::service::{ProductData, refusal};
use super::slugs;
use super::store::slugs::Of;
use super::store::staff::{self, Filter, ProductChange};
use super::store::{self, NewImage, ProductFields, VariantFields, variants};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::inventory::{self, NewLevel};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::ProductId;
use crate::platform::page::{Pagination, Part};
use crate::platform::retry;

/// What is said to whom somebody else was faster than.
pub(super) fn stale() -> Error {
    Error::conflict("Somebody else has changed this product meanwhile. Load it again and repeat your change.")
}

/// Products of whatever status, the newest first. `category` is a part of the filter.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(
    app: &App,
    mut filter: Filter<'_>,
    category: Option<&CategoryOf>,
    part: Part,
) -> Result<(Vec<StaffProductView>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    if let Some(category) = category {
        filter.categories = Some(store::categories::below(c, category).await?);
    }
    let total = if part.behind.is_none() { Some(staff::total(c, &filter).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = staff::list(c, &filter, part).await?;
    let base = app.config.public_url();
    let views = rows.into_iter().map(|row| StaffProductView::new(row, &base, &app.media)).collect();
    Ok((views, part.pagination(total, next)))
}

pub(super) async fn get(app: &App, id: ProductId) -> Result<StaffProductView> {
    load(app, &mut *app.db.acquire().await?, id).await
}

/// A product of whatever status, with what only staff are told.
pub(super) async fn load(app: &App, c: &mut PgConnection, id: ProductId) -> Result<StaffProductView> {
    let mut row = store::find(c, Some(id), "", true).await?.ok_or(Error::NotFound("The product"))?;
    for stored in variants::of_product(c, id).await? {
        if let Some(variant) = row.variants.iter_mut().find(|variant| variant.id == stored.id) {
            variant.barcode = stored.barcode;
            variant.weight_grams = stored.weight_grams;
        }
    }
    Ok(StaffProductView::new(row, &app.config.public_url(), &app.media))
}

/// The same, unless it is archived.
pub(super) async fn load_kept(app: &App, c: &mut PgConnection, id: ProductId) -> Result<StaffProductView> {
    let view = load(app, c, id).await?;
    if view.is_archived() { Err(Error::NotFound("The product")) } else { Ok(view) }
}

#[derive(Debug)]
pub(super) struct NewProduct {
    pub fields: ProductFields,
    pub slug: Option<String>,
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

pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: &NewProduct,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    slugs::with_made(new.slug.is_none(), || try_to_create(app, actor, meta, new, key.as_ref())).await
}

async fn try_to_create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: &NewProduct,
    key: Option<&idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key, app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = create_in(&mut tx, app, (actor, meta), new).await;
    let (id, answer) = tx.end(done).await?;
    app.product_cache.forget(&[id]).await;
    Ok(answer)
}

async fn create_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    new: &NewProduct,
) -> Result<(ProductId, Keyed)> {
    let now = app.clock.now();
    let slug = slugs::chosen_or_made(tx, Of::Products, new.slug.as_deref(), &new.fields.title).await?;
    let id = ProductId::new();
    let currency = &app.config.store.currency;
    store::insert_product(tx, id, (&slug, currency), &new.fields, now).await.map_err(refusal)?;
    let urls: Vec<String> = new.images.iter().map(|(url, ..)| app.media.stored_url(url)).collect();
    let images: Vec<_> =
        new.images.iter().zip(&urls).map(|((_, alt, kind), url)| NewImage { url, alt, kind: kind.as_str() }).collect();
    store::replace_images(tx, id, &images).await.map_err(refusal)?;
    add_variants(app, tx, id, new).await?;
    let view = load(app, tx, id).await?.product;
    let after = json!(view);
    let answer = tx.answer(201, ProductData { product: view }).await?;
    record(tx, app, Deed { actor, meta, action: "product.create", id }, None, Some(after)).await?;
    Ok((id, answer))
}

/// The variants of a new product, with their first stock.
async fn add_variants(app: &App, tx: &mut PgConnection, id: ProductId, new: &NewProduct) -> Result<()> {
    let now = app.clock.now();
    let only = [NewVariant {
        sku: new.fields.sku.clone(),
        options: Vec::new(),
        price_minor: new.fields.price_minor,
        compare_at_minor: new.fields.compare_at_minor,
        inventory: new.inventory,
        image_url: None,
    }];
    let variants = if new.variants.is_empty() { &only[..] } else { &new.variants[..] };
    let pictures: Vec<Option<String>> =
        variants.iter().map(|v| v.image_url.as_deref().map(|url| app.media.stored_url(url))).collect();
    let rows: Vec<_> = variants
        .iter()
        .zip(&pictures)
        .map(|(v, picture)| VariantFields {
            sku: &v.sku,
            options: json!(v.options),
            price_minor: v.price_minor,
            compare_at_minor: v.compare_at_minor,
            barcode: None,
            weight_grams: None,
            image_url: picture.as_deref(),
        })
        .collect();
    let stored = store::upsert_variants(tx, id, &rows, now).await.map_err(refusal)?;
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
    inventory::receive(tx, &levels, "initial", now).await?;
    Ok(())
}

pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: ProductId,
    version: i32,
    change: ProductChange,
) -> Result<ProductView> {
    let deed = Deed { actor, meta, action: "product.update", id };
    let after = retry::on_deadlock(|| try_to_update(app, deed, version, &change)).await?;
    app.product_cache.forget(&[id]).await;
    Ok(after)
}

async fn try_to_update(app: &App, deed: Deed<'_>, version: i32, change: &ProductChange) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    let before = load_kept(app, &mut tx, deed.id).await?;
    if !staff::update_product(&mut tx, deed.id, version, change, app.clock.now()).await.map_err(refusal)? {
        return Err(stale());
    }
    let after = load(app, &mut tx, deed.id).await?;
    record_change(&mut tx, app, deed, &before, &after).await?;
    tx.commit().await?;
    Ok(after.product)
}

/// Archives a product, whatever its version is when none is given.
pub(super) async fn archive(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: ProductId,
    version: Option<i32>,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let before = load_kept(app, &mut tx, id).await?;
    if !staff::archive_product(&mut tx, id, version, app.clock.now()).await? {
        return Err(stale());
    }
    let after = load(app, &mut tx, id).await?;
    record_change(&mut tx, app, Deed { actor, meta, action: "product.delete", id }, &before, &after).await?;
    tx.commit().await?;
    app.product_cache.forget(&[id]).await;
    Ok(())
}

pub(super) async fn restore(app: &App, actor: &Identity, meta: &RequestMeta, id: ProductId) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    let before = load(app, &mut tx, id).await?;
    if !staff::restore_product(&mut tx, id, app.clock.now()).await? {
        return Err(Error::conflict("This product is not archived."));
    }
    let after = load(app, &mut tx, id).await?;
    record_change(&mut tx, app, Deed { actor, meta, action: "product.restore", id }, &before, &after).await?;
    tx.commit().await?;
    app.product_cache.forget(&[id]).await;
    Ok(after.product)
}

/// Who did what to which product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed<'a> {
    pub actor: &'a Identity,
    pub meta: &'a RequestMeta,
    pub action: &'static str,
    pub id: ProductId,
}

/// Puts what a deed changed on record.
pub(super) async fn record_change(
    tx: &mut PgConnection,
    app: &App,
    deed: Deed<'_>,
    before: &StaffProductView,
    after: &StaffProductView,
) -> Result<()> {
    let (before, after) = audit::changed(&json!(before), &json!(after));
    record(tx, app, deed, Some(before), Some(after)).await
}

pub(super) async fn record(
    tx: &mut PgConnection,
    app: &App,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(deed.actor),
        action: deed.action,
        entity: "product",
        entity_id: Some(deed.id.to_string()),
        before,
        after,
    };
    audit::record(tx, entry, deed.meta, app.clock.now()).await
}
