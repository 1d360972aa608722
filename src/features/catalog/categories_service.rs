//! Keeping the tree of categories. Who changes its shape takes the tree's lock first; the database refuses cycles and
//! depths whoever writes.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::service::refusal;
use super::slugs;
use super::store::categories::{self as store, CategoryChange, CategoryRow};
use super::store::slugs::{self as slug_store, Of};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, FieldError, Result, violated_constraint};
use crate::platform::http::RequestMeta;
use crate::platform::http::keyed::{self, Begun, Keyed, Once};
use crate::platform::idempotency;
use crate::platform::ids::CategoryId;

/// Products that one transaction moves out of a category that is removed. It holds the tree for a fraction of a second.
const STEP: i64 = 2_000;

/// A category.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CategoryView {
    pub(super) id: CategoryId,
    pub(super) parent_id: Option<CategoryId>,
    name: String,
    slug: String,
    /// Its place among its siblings; the lowest comes first.
    order: i32,
    /// 0 for one without a parent.
    depth: i32,
    /// Products for sale directly in it.
    product_count: i64,
    /// Products for sale in it and in all below it.
    total_product_count: i64,
    /// Send it back with a change.
    version: i32,
    /// Those directly below it, with their own; only where a tree was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub(super) children: Option<Vec<CategoryView>>,
}

impl From<CategoryRow> for CategoryView {
    fn from(row: CategoryRow) -> Self {
        Self {
            id: row.id,
            parent_id: row.parent_id,
            name: row.name,
            slug: row.slug,
            order: row.position,
            depth: row.depth,
            product_count: row.products,
            total_product_count: row.all_products,
            version: row.version,
            children: None,
        }
    }
}

/// One category.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoryData {
    pub(super) category: CategoryView,
}

/// What a category's name in an address means.
pub(super) enum Named {
    /// This category, with the tree below it, and those above it from the top.
    Category(CategoryView, Vec<CategoryView>),
    /// The category that has this slug now.
    Moved(String),
}

pub(super) async fn list(app: &App) -> Result<Vec<CategoryView>> {
    let rows = store::tree(&mut *app.db.acquire().await?).await?;
    Ok(rows.into_iter().map(CategoryView::from).collect())
}

/// Puts categories in the order of the tree into each other.
pub(super) fn nested(flat: Vec<CategoryView>) -> Vec<CategoryView> {
    // From the end, each finds its children complete.
    let mut below: HashMap<Option<CategoryId>, Vec<CategoryView>> = HashMap::new();
    let top = flat.first().and_then(|category| category.parent_id);
    for mut category in flat.into_iter().rev() {
        category.children = Some(in_order(below.remove(&Some(category.id))));
        below.entry(category.parent_id).or_default().push(category);
    }
    in_order(below.remove(&top))
}

fn in_order(from_the_end: Option<Vec<CategoryView>>) -> Vec<CategoryView> {
    let mut categories = from_the_end.unwrap_or_default();
    categories.reverse();
    categories
}

/// A category by its id or slug.
pub(super) async fn get(app: &App, name: &str) -> Result<Named> {
    let mut connection = app.db.acquire().await?;
    let flat: Vec<CategoryView> = store::tree(&mut connection).await?.into_iter().map(CategoryView::from).collect();
    let id = name.parse::<CategoryId>().ok();
    let Some(place) = flat.iter().position(|category| Some(category.id) == id || category.slug == name) else {
        let successor = slug_store::successor_of_category(&mut connection, name).await?;
        return successor.map(Named::Moved).ok_or(Error::NotFound("The category"));
    };
    let mut above = Vec::new();
    let mut parent = flat[place].parent_id;
    for category in flat[..place].iter().rev() {
        if Some(category.id) == parent {
            above.push(category.clone());
            parent = category.parent_id;
        }
    }
    above.reverse();
    // In the order of the tree, what is below it follows it.
    let end = flat[place + 1..].iter().position(|other| other.depth <= flat[place].depth);
    let end = end.map_or(flat.len(), |end| place + 1 + end);
    let subtree = nested(flat[place..end].to_vec()).into_iter().next();
    subtree.map(|category| Named::Category(category, above)).ok_or(Error::NotFound("The category"))
}

/// A category to create.
#[derive(Debug)]
pub(super) struct NewCategory {
    pub name: String,
    /// Made from the name when there is none.
    pub slug: Option<String>,
    pub parent_id: Option<CategoryId>,
}

pub(super) async fn create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: &NewCategory,
    key: Option<idempotency::Request>,
) -> Result<Keyed> {
    let answer = slugs::with_made(new.slug.is_none(), || try_to_create(app, actor, meta, new, key.as_ref())).await?;
    // Its slug may have led lists to another category before.
    app.product_cache.clear().await;
    Ok(answer)
}

async fn try_to_create(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    new: &NewCategory,
    key: Option<&idempotency::Request>,
) -> Result<Keyed> {
    let mut tx = match keyed::begin(&app.db, key, app.clock.now()).await? {
        Begun::Given(answer) => return Ok(answer),
        Begun::Open(tx) => tx,
    };
    let done = create_in(&mut tx, app, (actor, meta), new).await;
    tx.end(done).await
}

async fn create_in(
    tx: &mut Once<'_>,
    app: &App,
    (actor, meta): (&Identity, &RequestMeta),
    new: &NewCategory,
) -> Result<Keyed> {
    let (id, now) = (CategoryId::new(), app.clock.now());
    store::lock_tree(tx).await?;
    let slug = slugs::chosen_or_made(tx, Of::Categories, new.slug.as_deref(), &new.name).await?;
    store::insert(tx, id, new.parent_id, &new.name, &slug, now).await.map_err(refusal)?;
    let category = find(&store::tree(tx).await?, id)?;
    let answer = tx.answer(201, CategoryData { category }).await?;
    let after = json!({"name": new.name, "slug": slug, "parentId": new.parent_id});
    let deed = Deed { actor, meta, action: "category.create", id: Some(id) };
    record(tx, app, deed, None, Some(after)).await?;
    Ok(answer)
}

pub(super) async fn update(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (CategoryId, i32),
    change: &CategoryChange,
) -> Result<CategoryView> {
    let mut tx = app.db.begin().await?;
    store::lock_tree(&mut tx).await?;
    let before = find(&store::tree(&mut tx).await?, id)?;
    if !store::update(&mut tx, id, version, change).await.map_err(refusal)? {
        return Err(stale());
    }
    let after = find(&store::tree(&mut tx).await?, id)?;
    let (old, new) = audit::changed(&json!(before), &json!(after));
    let deed = Deed { actor, meta, action: "category.update", id: Some(id) };
    record(&mut tx, app, deed, Some(old), Some(new)).await?;
    tx.commit().await?;
    if before.name != after.name || before.slug != after.slug || before.parent_id != after.parent_id {
        // Every answer of a product tells the name of its category, and lists of a category have what is below it.
        app.product_cache.clear().await;
    }
    Ok(after)
}

/// Puts all children of `parent`, or all categories without one, in an order.
pub(super) async fn set_order(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    parent: Option<CategoryId>,
    ids: &[CategoryId],
) -> Result<Vec<CategoryView>> {
    let mut tx = app.db.begin().await?;
    store::lock_tree(&mut tx).await?;
    let rows = store::tree(&mut tx).await?;
    if parent.is_some_and(|parent| !rows.iter().any(|row| row.id == parent)) {
        return Err(Error::field("parentId", "is not a category"));
    }
    let siblings: Vec<_> = rows.iter().filter(|row| row.parent_id == parent).map(|row| row.id).collect();
    let (mut given, mut known) = (ids.to_vec(), siblings.clone());
    given.sort_unstable();
    known.sort_unstable();
    if given != known {
        return Err(Error::field("ids", "must name each category below the parent exactly once"));
    }
    store::set_order(&mut tx, ids).await?;
    let rows = store::tree(&mut tx).await?;
    let deed = Deed { actor, meta, action: "category.order", id: parent };
    record(&mut tx, app, deed, Some(json!({"ids": siblings})), Some(json!({"ids": ids}))).await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(CategoryView::from).collect())
}

/// Removes a category. What is in it goes to `move_to`; without one, it must be empty. Many products go there in steps, each of which
/// lasts: whoever is interrupted finds the rest in the category, and goes on by doing the same again.
pub(super) async fn delete(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    (id, version): (CategoryId, Option<i32>),
    move_to: Option<CategoryId>,
) -> Result<()> {
    loop {
        let mut tx = app.db.begin().await?;
        store::lock_tree(&mut tx).await?;
        let rows = store::tree(&mut tx).await?;
        let category = find(&rows, id)?;
        if version.is_some_and(|version| version != category.version) {
            return Err(stale());
        }
        let mut moved = Vec::new();
        if let Some(to) = move_to {
            check_destination(&rows, id, to)?;
            // First, because it may be refused: then nothing has moved.
            store::move_children(&mut tx, id, to).await.map_err(too_deep)?;
            moved = store::move_products(&mut tx, id, to, STEP, app.clock.now()).await?;
        }
        let is_step = i64::try_from(moved.len()).is_ok_and(|count| count == STEP);
        let after = move_to.map(|to| json!({"movedTo": to, "products": moved.len()}));
        if is_step {
            let deed = Deed { actor, meta, action: "category.move_products", id: Some(id) };
            record(&mut tx, app, deed, None, after).await?;
        } else {
            remove(&mut tx, &rows, id, move_to).await?;
            let deed = Deed { actor, meta, action: "category.delete", id: Some(id) };
            record(&mut tx, app, deed, Some(json!(category)), after).await?;
        }
        tx.commit().await?;
        // What is below it may have moved as well, and with it the lists of both.
        app.product_cache.clear().await;
        if !is_step {
            return Ok(());
        }
    }
}

/// Removes a category whose products are gone already, or that must be empty.
async fn remove(
    tx: &mut PgConnection,
    rows: &[CategoryRow],
    id: CategoryId,
    move_to: Option<CategoryId>,
) -> Result<()> {
    if let Some(to) = move_to {
        slug_store::inherit_of_category(tx, id, to).await?;
    } else if rows.iter().any(|row| row.parent_id == Some(id)) || store::has_products(tx, id).await? {
        return Err(in_use());
    }
    store::delete(tx, id).await.map_err(|error| match violated_constraint(&error) {
        // Somebody has put something into it meanwhile.
        Some("products_category_id_fkey" | "categories_parent_id_fkey") => in_use(),
        _ => error.into(),
    })
}

/// What is below a category cannot go below itself.
fn check_destination(rows: &[CategoryRow], id: CategoryId, to: CategoryId) -> Result<()> {
    let mut at = Some(to);
    if !rows.iter().any(|row| row.id == to) {
        return Err(Error::field("moveTo", "is not a category"));
    }
    while let Some(here) = at {
        if here == id {
            return Err(Error::field("moveTo", "is the category itself or one below it"));
        }
        at = rows.iter().find(|row| row.id == here).and_then(|row| row.parent_id);
    }
    Ok(())
}

fn find(rows: &[CategoryRow], id: CategoryId) -> Result<CategoryView> {
    rows.iter().find(|row| row.id == id).cloned().map(CategoryView::from).ok_or(Error::NotFound("The category"))
}

/// As [`refusal`], where the subcategories of a removed category do not fit below another.
fn too_deep(error: sqlx::Error) -> Error {
    if violated_constraint(&error) != Some("categories_depth") {
        return refusal(error);
    }
    let fault = "is too far down for the subcategories; the tree has at most ten levels";
    Error::Conflict { message: format!("moveTo: {fault}."), details: vec![FieldError::new("moveTo", fault)] }
}

fn stale() -> Error {
    Error::conflict("Somebody else has changed this category meanwhile. Load it again and repeat your change.")
}

fn in_use() -> Error {
    let message = "There are products or subcategories in this category, maybe archived products. Say with moveTo which \
                   category they go to.";
    Error::Conflict {
        message: message.into(),
        details: vec![FieldError::new("moveTo", "is required, because the category is not empty")],
    }
}

/// Who did what to which category.
struct Deed<'a> {
    actor: &'a Identity,
    meta: &'a RequestMeta,
    action: &'static str,
    id: Option<CategoryId>,
}

async fn record(
    tx: &mut PgConnection,
    app: &App,
    deed: Deed<'_>,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<()> {
    let entry = audit::Entry {
        actor: Some(deed.actor),
        action: deed.action,
        entity: "category",
        entity_id: deed.id.map(|id| id.to_string()),
        before,
        after,
    };
    audit::record(tx, entry, deed.meta, app.clock.now()).await
}
