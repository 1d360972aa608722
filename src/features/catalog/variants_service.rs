//! Keeping the variants of a product. Each change takes the product's version and gives it the next one; its row is the
//! lock under which all of them work.

use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::model::{OptionValue, ProductView, StaffProductView};
use super::rules::{self, MAX_VARIANTS};
use super::service::refusal;
use super::staff_service::{Deed, load, load_kept, record_change, stale};
use super::store::variants::{self, Fields, Parent, Variant};
use crate::app::App;
use crate::features::inventory::{self, NewLevel};
use crate::platform::db::Tx;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::{ProductId, VariantId};

/// A variant to add.
#[derive(Debug)]
pub(super) struct AddedVariant {
    pub sku: String,
    pub options: Vec<OptionValue>,
    /// The product's price when there is none.
    pub price_minor: Option<i64>,
    pub compare_at_minor: Option<i64>,
    pub barcode: Option<String>,
    pub weight_grams: Option<i32>,
    pub image_url: Option<String>,
    pub inventory: i32,
}

/// A change of a variant; `None` leaves a field as it is, and the outer `Some(None)` empties it.
#[derive(Debug, Default)]
pub(super) struct VariantChange {
    pub sku: Option<String>,
    pub options: Option<Vec<OptionValue>>,
    pub price_minor: Option<i64>,
    pub compare_at_minor: Option<Option<i64>>,
    pub barcode: Option<Option<String>>,
    pub weight_grams: Option<Option<i32>>,
    pub image_url: Option<Option<String>>,
}

/// [`super::service::ProductData`] of a product that is needed afterwards.
#[derive(Serialize)]
struct ProductRef<'a> {
    product: &'a ProductView,
}

/// A product that is being changed: locked, with its next version.
struct Open {
    before: StaffProductView,
    parent: Parent,
    variants: Vec<Variant>,
}

async fn open(app: &App, tx: &mut PgConnection, id: ProductId, version: i32) -> Result<Open> {
    let before = load_kept(app, tx, id).await?;
    let parent = variants::next_version(tx, id, version, app.clock.now()).await?.ok_or_else(stale)?;
    let variants = variants::of_product(tx, id).await?;
    Ok(Open { before, parent, variants })
}

/// The end of a change: on record, committed, and no longer in the cache.
async fn close(app: &App, mut tx: Tx, before: &StaffProductView, deed: Deed<'_>) -> Result<ProductView> {
    let after = load(app, &mut tx, deed.id).await?;
    record_change(&mut tx, app, deed, before, &after).await?;
    tx.commit().await?;
    app.product_cache.forget(&[deed.id]).await;
    Ok(after.product)
}

pub(super) async fn add(
    app: &App,
    deed: Deed<'_>,
    version: i32,
    new: &AddedVariant,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key.as_ref(), app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = add_in(&mut tx, app, deed, version, new).await;
    let answer = tx.end(done).await?;
    app.product_cache.forget(&[deed.id]).await;
    Ok(answer)
}

async fn add_in(tx: &mut Once<'_>, app: &App, deed: Deed<'_>, version: i32, new: &AddedVariant) -> Result<Keyed> {
    let (id, now) = (deed.id, app.clock.now());
    let open = open(app, tx, id, version).await?;
    if open.variants.iter().any(|variant| variant.options.is_empty()) {
        return Err(Error::Conflict {
            message: "This product has no options yet. Give its only variant options first (PATCH it), so that its \
                      stock and its carts stay with it; then add the others."
                .into(),
            details: vec![FieldError::new("options", "the product's only variant has none")],
        });
    }
    if open.variants.len() >= MAX_VARIANTS {
        return Err(Error::conflict(format!("A product has at most {MAX_VARIANTS} variants.")));
    }
    check_options(&new.options, open.variants.iter())?;
    let picture = new.image_url.as_deref().map(|url| app.media.stored_url(url));
    let fields = Fields {
        sku: &new.sku,
        options: json!(new.options),
        price_minor: new.price_minor.unwrap_or(open.parent.price_minor),
        compare_at_minor: new.compare_at_minor,
        barcode: new.barcode.as_deref(),
        weight_grams: new.weight_grams,
        image_url: picture.as_deref(),
    };
    let position = open.variants.iter().map(|variant| variant.position + 1).max().unwrap_or(0);
    let added = variants::add(tx, id, &fields, position).await.map_err(of_variant)?;
    let (variant_id, is_new) = added.ok_or_else(|| Error::Conflict {
        message: "sku: is the sku of another variant.".into(),
        details: vec![FieldError::new("sku", "is the sku of another variant")],
    })?;
    if !is_new && new.inventory > 0 {
        return Err(Error::field(
            "inventory",
            "must be left out, because a variant with this sku was removed before and comes back with its stock",
        ));
    }
    inventory::receive(tx, &[NewLevel { variant_id, on_hand: new.inventory }], "initial", now).await?;
    let after = load(app, tx, id).await?;
    let answer = tx.answer(201, ProductRef { product: &after.product }).await?;
    record_change(tx, app, deed, &open.before, &after).await?;
    Ok(answer)
}

pub(super) async fn update(
    app: &App,
    deed: Deed<'_>,
    variant: VariantId,
    version: i32,
    mut change: VariantChange,
) -> Result<ProductView> {
    if let Some(Some(url)) = &mut change.image_url {
        *url = app.media.stored_url(url);
    }
    let mut tx = app.db.begin().await?;
    let open = open(app, &mut tx, deed.id, version).await?;
    let stored = find(&open.variants, variant)?;
    let others = || open.variants.iter().filter(|other| other.id != variant);
    let options = change.options.as_deref().unwrap_or(&stored.options);
    if options.is_empty() && others().next().is_some() {
        return Err(Error::field("options", "must not be empty while the product has other variants"));
    }
    if !options.is_empty() {
        check_options(options, others())?;
    }
    let fields = if options.is_empty() {
        refuse_what_is_the_products(&change)?;
        // What a product without options is, its only variant is.
        Fields {
            sku: &open.parent.sku,
            options: json!([]),
            price_minor: open.parent.price_minor,
            compare_at_minor: open.parent.compare_at_minor,
            barcode: merged(change.barcode.as_ref(), stored.barcode.as_ref()),
            weight_grams: change.weight_grams.unwrap_or(stored.weight_grams),
            image_url: merged(change.image_url.as_ref(), stored.image_url.as_ref()),
        }
    } else {
        Fields {
            sku: change.sku.as_deref().unwrap_or(&stored.sku),
            options: json!(options),
            price_minor: change.price_minor.unwrap_or(stored.price_minor),
            compare_at_minor: change.compare_at_minor.unwrap_or(stored.compare_at_minor),
            barcode: merged(change.barcode.as_ref(), stored.barcode.as_ref()),
            weight_grams: change.weight_grams.unwrap_or(stored.weight_grams),
            image_url: merged(change.image_url.as_ref(), stored.image_url.as_ref()),
        }
    };
    variants::update(&mut tx, variant, &fields).await.map_err(of_variant)?;
    close(app, tx, &open.before, deed).await
}

/// Takes a variant off sale. What is set aside of it for an order stays set aside: the order was placed and is fulfilled
/// as any other, because its line, its reservation and its stock are kept by the variant's id.
pub(super) async fn archive(app: &App, deed: Deed<'_>, variant: VariantId, version: i32) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    let open = open(app, &mut tx, deed.id, version).await?;
    find(&open.variants, variant)?;
    if open.variants.len() == 1 {
        return Err(Error::conflict(
            "A product has at least one variant. Remove the product instead, or deactivate it.",
        ));
    }
    variants::archive(&mut tx, variant, app.clock.now()).await?;
    close(app, tx, &open.before, deed).await
}

pub(super) async fn set_order(app: &App, deed: Deed<'_>, version: i32, ids: &[VariantId]) -> Result<ProductView> {
    let mut tx = app.db.begin().await?;
    let open = open(app, &mut tx, deed.id, version).await?;
    let (mut given, mut live) = (ids.to_vec(), open.variants.iter().map(|variant| variant.id).collect::<Vec<_>>());
    given.sort_unstable();
    live.sort_unstable();
    if given != live {
        return Err(Error::field("ids", "must name each variant of the product exactly once"));
    }
    variants::set_order(&mut tx, ids).await?;
    close(app, tx, &open.before, deed).await
}

fn find(variants: &[Variant], id: VariantId) -> Result<&Variant> {
    variants.iter().find(|variant| variant.id == id).ok_or(Error::NotFound("The variant"))
}

fn merged<'a>(change: Option<&'a Option<String>>, stored: Option<&'a String>) -> Option<&'a str> {
    match change {
        Some(change) => change.as_deref(),
        None => stored.map(String::as_str),
    }
}

/// All variants of a product are told apart by the same options.
fn check_options<'a>(options: &[OptionValue], mut others: impl Iterator<Item = &'a Variant>) -> Result<()> {
    match others.next() {
        Some(other) if !rules::have_same_names(&other.options, options) => Err(Error::field(
            "options",
            format!("must be {}, in this order, as of the product's other variants", rules::names(&other.options)),
        )),
        _ => Ok(()),
    }
}

fn refuse_what_is_the_products(change: &VariantChange) -> Result<()> {
    let given = [
        ("sku", change.sku.is_some()),
        ("price", change.price_minor.is_some()),
        ("compareAtPrice", change.compare_at_minor.is_some()),
    ];
    let faults: Vec<_> = given
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(field, _)| FieldError::new(field, "is the product's while it has no options; change it there"))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

/// As [`refusal`], where the fields are a variant's.
fn of_variant(error: sqlx::Error) -> Error {
    let (field, message) = match violated_constraint(&error) {
        Some("variants_options_key") => {
            ("options", "are those of another variant of this product, maybe in another case")
        }
        Some("variants_compare_at_above_price") => {
            ("compareAtPrice", "must be above the price; change both, or remove it with null")
        }
        Some("variants_sku_lower_key") => ("sku", "is the sku of another variant, written in another case"),
        Some("variants_sku_key") => ("sku", "is the sku of another variant"),
        _ => return refusal(error),
    };
    Error::Conflict { message: format!("{field}: {message}."), details: vec![FieldError::new(field, message)] }
}
