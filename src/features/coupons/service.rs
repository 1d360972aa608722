//! Keeping coupons.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::input::{CreateCoupon, CreateCoupons, UpdateCoupon};
use super::model::Code;
use super::store::redemptions::{self, Use};
use super::store::staff::{self as store, Filter, Stored, Whole};
use super::terms::{Draft, Rules, Terms};
use super::view::{CodesData, CouponData, WholeCouponView};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::crypto::random_bytes;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed};
use crate::platform::idempotency;
use crate::platform::ids::CouponId;
use crate::platform::page::{Pagination, Part};
use crate::platform::retry;

/// Characters of a random code: those that nobody takes for another one.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Random characters of a code. Of 32 to the power of 10, nobody guesses one that works.
const RANDOM: usize = 10;

/// What coupons of a batch may be limited to, together.
const MAX_BATCH_SCOPE: usize = 100;

/// How often random codes are made anew that are taken.
const TRIES: usize = 3;

/// Coupons, the newest first.
///
/// # Errors
/// `Validation` of a page that only a cursor leads to.
pub(super) async fn list(app: &App, filter: &Filter<'_>, part: Part) -> Result<(Vec<Stored>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    let total = if part.behind.is_none() { Some(store::total(c, filter).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = store::list(c, filter, part).await?;
    Ok((rows, part.pagination(total, next)))
}

/// The uses of a coupon, of the newest orders first.
///
/// # Errors
/// `NotFound`; `Validation` of a page that only a cursor leads to.
pub(super) async fn uses(app: &App, id: CouponId, part: Part) -> Result<(Vec<Use>, Pagination)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    load(c, id).await?;
    let total = if part.behind.is_none() { Some(redemptions::total(c, id).await?) } else { None };
    part.check_depth(total)?;
    let (rows, next) = redemptions::list(c, id, part).await?;
    Ok((rows, part.pagination(total, next)))
}

/// A coupon, archived or not.
///
/// # Errors
/// `NotFound`.
pub(super) async fn load(c: &mut PgConnection, id: CouponId) -> Result<Whole> {
    store::find(c, id).await?.ok_or(Error::NotFound("The coupon"))
}

/// A coupon that is not archived, locked until the transaction ends.
async fn lock(c: &mut PgConnection, id: CouponId) -> Result<Whole> {
    if store::lock(c, id).await? { load(c, id).await } else { Err(Error::NotFound("The coupon")) }
}

/// Creates a coupon.
///
/// # Errors
/// `Validation`; `Conflict` when the code is taken; those of the key.
pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    mut new: CreateCoupon,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let code = new.code.take();
    let terms = new.into_draft().check().map_err(Error::Validation)?;
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        let id = CouponId::new();
        refuse_unknown(&mut tx, &terms.rules, "").await?;
        match &code {
            Some(code) => {
                let new = [(id, code.clone())];
                if store::insert(&mut tx, &new, &terms, now).await.map_err(refusal)?.is_empty() {
                    return Err(taken());
                }
            }
            None => drop(insert_random(&mut tx, vec![id], "", &terms, now).await?),
        }
        let coupon = WholeCouponView::new(load(&mut tx, id).await?, now);
        let after = json!(coupon);
        let answer = tx.answer(201, CouponData { coupon }).await?;
        record(&mut tx, app, (actor, meta), ("coupon.create", Some(id)), (None, Some(after))).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Creates many coupons with random codes.
///
/// # Errors
/// As [`create`].
pub(super) async fn create_many(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: CreateCoupons,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let mut faults = Vec::new();
    if new.coupon.code.is_some() {
        faults.push(FieldError::new("coupon.code", "must be left out; each coupon gets a code of its own"));
    }
    let prefix = new.prefix.map(|prefix| prefix.as_str().to_ascii_uppercase()).unwrap_or_default();
    // Whatever follows, a code must come of it.
    if !prefix.is_empty() && format!("{prefix}AAA").parse::<Code>().is_err() {
        faults.push(FieldError::new("prefix", "must have letters from A to Z, digits, - and _ only"));
    }
    let mut draft = new.coupon.into_draft();
    draft.rules.usage_limit = draft.rules.usage_limit.or(Some(1));
    let terms = checked(draft, &mut faults, "coupon.");
    let scope = terms.as_ref().map_or(0, |terms| terms.rules.products.len() + terms.rules.categories.len());
    if scope > MAX_BATCH_SCOPE {
        let fault = format!("must name at most {MAX_BATCH_SCOPE} products and categories for a batch");
        faults.push(FieldError::new("coupon.productIds", fault));
    }
    let Some(terms) = terms.filter(|_| faults.is_empty()) else { return Err(Error::Validation(faults)) };
    let now = app.clock.now();
    let mut tx = match keyed::begin(&app.db, key.as_ref(), now).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = async {
        refuse_unknown(&mut tx, &terms.rules, "coupon.").await?;
        let ids = (0..new.count.get()).map(|_| CouponId::new()).collect();
        let codes = insert_random(&mut tx, ids, &prefix, &terms, now).await?;
        let after = json!({"count": codes.len(), "prefix": prefix, "first": codes.first(), "last": codes.last()});
        let answer = tx.answer(201, CodesData { codes }).await?;
        record(&mut tx, app, (actor, meta), ("coupon.create_batch", None), (None, Some(after))).await?;
        Ok(answer)
    }
    .await;
    tx.end(done).await
}

/// Writes coupons with random codes. Gives the codes.
async fn insert_random(
    tx: &mut PgConnection,
    mut ids: Vec<CouponId>,
    prefix: &str,
    terms: &Terms,
    now: DateTime<Utc>,
) -> Result<Vec<Code>> {
    let mut codes = Vec::with_capacity(ids.len());
    for _ in 0..TRIES {
        let new = ids.drain(..).map(|id| Ok((id, random_code(prefix)?))).collect::<Result<Vec<_>>>()?;
        let written = store::insert(tx, &new, terms, now).await.map_err(refusal)?;
        ids.extend(new.iter().filter(|(_, code)| !written.contains(code)).map(|(id, _)| *id));
        codes.extend(written);
        if ids.is_empty() {
            return Ok(codes);
        }
    }
    Err(Error::conflict("So many codes with this prefix are taken that no new ones were found. Take another prefix."))
}

fn random_code(prefix: &str) -> Result<Code> {
    let random = random_bytes::<RANDOM>()?;
    // There are 32 letters, so each is as likely as another.
    let letters =
        random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter));
    let code = prefix.chars().chain(letters).collect::<String>();
    code.parse().map_err(|fault| Error::internal(anyhow::anyhow!("a random code {fault}")))
}

/// Changes a coupon.
///
/// # Errors
/// `NotFound`, of an archived one too; `Validation`; `Conflict` when it has another version, or the code is taken.
pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: CouponId,
    change: UpdateCoupon,
) -> Result<WholeCouponView> {
    // A category that is removed meanwhile is locked in the other order.
    retry::on_deadlock(|| try_to_update(app, (actor, meta), id, change.clone())).await
}

async fn try_to_update(
    app: &App,
    who: (&Identity, &RequestMeta),
    id: CouponId,
    change: UpdateCoupon,
) -> Result<WholeCouponView> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let before = lock(&mut tx, id).await?;
    if change.version != before.stored.version {
        return Err(stale());
    }
    let code = change.code.clone().unwrap_or_else(|| before.stored.code.clone());
    let old = before.terms();
    let mut faults = Vec::new();
    let terms = checked(change.apply(Draft::of(old.clone())), &mut faults, "");
    let used = before.stored.used_count;
    if let Some(limit) = terms.as_ref().and_then(|terms| terms.rules.usage_limit)
        && limit < used
        && old.rules.usage_limit != Some(limit)
    {
        faults
            .push(FieldError::new("usageLimit", format!("must be at least {used}, as so many orders use the coupon")));
    }
    let Some(terms) = terms.filter(|_| faults.is_empty()) else { return Err(Error::Validation(faults)) };
    let is_scope_new = (&terms.rules.products, &terms.rules.categories) != (&old.rules.products, &old.rules.categories);
    if is_scope_new {
        refuse_unknown(&mut tx, &terms.rules, "").await?;
        store::replace_scope(&mut tx, id, &terms.rules).await.map_err(refusal)?;
    }
    store::update(&mut tx, id, &code, &terms, now).await.map_err(refusal)?;
    let after = load(&mut tx, id).await?;
    let (before, after) = (WholeCouponView::new(before, now), WholeCouponView::new(after, now));
    let (was, is) = audit::changed(&json!(before), &json!(after));
    record(&mut tx, app, who, ("coupon.update", Some(id)), (Some(was), Some(is))).await?;
    tx.commit().await?;
    Ok(after)
}

/// Removes a coupon that was never used, and archives another one. Gives whether it was archived.
///
/// # Errors
/// `NotFound`; `Conflict` when it has another version.
pub(super) async fn remove(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    id: CouponId,
    version: Option<i32>,
) -> Result<bool> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let before = lock(&mut tx, id).await?;
    if version.is_some_and(|version| version != before.stored.version) {
        return Err(stale());
    }
    let before = json!(WholeCouponView::new(before, now));
    let is_known = redemptions::is_known(&mut tx, id).await?;
    let states = if is_known {
        store::archive(&mut tx, id, now).await?;
        let after = json!(WholeCouponView::new(load(&mut tx, id).await?, now));
        let (was, is) = audit::changed(&before, &after);
        (Some(was), Some(is))
    } else {
        store::delete(&mut tx, id).await?;
        (Some(before), None)
    };
    record(&mut tx, app, (actor, meta), ("coupon.delete", Some(id)), states).await?;
    tx.commit().await?;
    Ok(is_known)
}

/// Checks a draft, and adds what is wrong to the other faults. `path` stands before its fields.
fn checked(draft: Draft, faults: &mut Vec<FieldError>, path: &str) -> Option<Terms> {
    match draft.check() {
        Ok(terms) => Some(terms),
        Err(wrong) => {
            let named = |fault: FieldError| FieldError { field: format!("{path}{}", fault.field), ..fault };
            faults.extend(wrong.into_iter().map(named));
            None
        }
    }
}

/// Refuses products and categories that there are not. `path` stands before the fields.
async fn refuse_unknown(c: &mut PgConnection, rules: &Rules, path: &str) -> Result<()> {
    if rules.products.is_empty() && rules.categories.is_empty() {
        return Ok(());
    }
    let (products, categories) = store::unknown(c, rules).await?;
    let fault = |field: &str, ids: Vec<String>| {
        let (first, more) = ids.split_first()?;
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        Some(FieldError::new(format!("{path}{field}"), format!("are not all of this shop: {first}{more}")))
    };
    let faults: Vec<_> = [
        fault("productIds", products.iter().map(ToString::to_string).collect()),
        fault("categoryIds", categories.iter().map(ToString::to_string).collect()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Validation(faults)) }
}

fn taken() -> Error {
    let fault = FieldError::new("code", "is the code of another coupon");
    Error::Conflict { message: "Another coupon has this code.".into(), details: vec![fault] }
}

fn refusal(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("coupons_code_key") => taken(),
        Some("coupon_products_product_id_fkey" | "coupon_categories_category_id_fkey") => Error::conflict(
            "Something that this coupon is for was removed at this moment. Load it again and repeat your change.",
        ),
        _ => error.into(),
    }
}

fn stale() -> Error {
    Error::conflict("Somebody else has changed this coupon meanwhile. Load it again and repeat your change.")
}

/// Puts a deed on record: who, what to which coupon, and what it was before and after.
async fn record(
    tx: &mut PgConnection,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    (action, id): (&'static str, Option<CouponId>),
    (before, after): (Option<Value>, Option<Value>),
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(actor),
        action,
        entity: "coupon",
        entity_id: id.map(|id| id.to_string()),
        before,
        after,
    };
    audit::record(tx, entry, meta, app.clock.now()).await
}
