//! Categories.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::refusal;
use super::store::{self, CategoryRow};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::Error;
use crate::platform::http::{Answer, Body, Envelope, ErrorEnvelope, RequestMeta, created, ok};
use crate::platform::ids::CategoryId;
use crate::platform::text::{Text, slugify};

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CategoryView {
    id: CategoryId,
    parent_id: Option<CategoryId>,
    name: String,
    slug: String,
    order: i32,
    /// Products for sale directly in it.
    product_count: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoriesData {
    categories: Vec<CategoryView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoryData {
    category: CategoryView,
}

/// A new category.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateCategory {
    #[schema(value_type = String, min_length = 1, max_length = 120)]
    name: Text<1, 120>,
    parent_id: Option<CategoryId>,
}

impl From<CategoryRow> for CategoryView {
    fn from(row: CategoryRow) -> Self {
        Self {
            id: row.id,
            parent_id: row.parent_id,
            name: row.name,
            slug: row.slug,
            order: row.position,
            product_count: row.products,
        }
    }
}

/// List categories
#[utoipa::path(get, path = "/categories", tag = "Catalogue", security(()), responses((status = 200, body = Envelope<CategoriesData>)))]
pub(super) async fn list_categories(State(app): State<App>) -> Answer<CategoriesData> {
    let rows = store::list_categories(&mut *app.db.acquire().await?).await?;
    Ok(ok(CategoriesData { categories: rows.into_iter().map(CategoryView::from).collect() }))
}

/// Create a category
#[utoipa::path(post, path = "/categories", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    request_body = CreateCategory, responses(
    (status = 201, body = Envelope<CategoryData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "A category has this name"),
))]
pub(super) async fn create_category(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<CreateCategory>,
) -> Answer<CategoryData> {
    let (name, parent_id) = (body.value.name.into_string(), body.value.parent_id);
    let slug = slugify(&name);
    if slug.is_empty() {
        return Err(Error::field("name", "must have a letter or a digit"));
    }
    let (id, now) = (CategoryId::new(), app.clock.now());
    let mut tx = app.db.begin().await?;
    store::insert_category(&mut tx, id, parent_id, &name, &slug, now).await.map_err(refusal)?;
    let entry = audit::Entry {
        actor: Some(&identity),
        action: "category.create",
        entity: "category",
        entity_id: Some(id.to_string()),
        before: None,
        after: Some(serde_json::json!({"name": name, "parentId": parent_id})),
    };
    audit::record(&mut tx, entry, &meta, now).await?;
    let rows = store::list_categories(&mut tx).await?;
    tx.commit().await?;
    let row = rows.into_iter().find(|row| row.id == id).ok_or(Error::NotFound("The category"))?;
    Ok(created(CategoryData { category: row.into() }))
}
