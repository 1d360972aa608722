//! Categories.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::categories_service::{self as service, CategoryData, CategoryView, Named, NewCategory, nested};
use super::rules::{CategoryName, Faults, RESERVED_CATEGORIES};
use super::store::categories::CategoryChange;
use crate::app::App;
use crate::features::auth::Identity;
use crate::platform::checked::{Line, Slug};
use crate::platform::error::{Error, Result};
use crate::platform::http::envelope::Empty;
use crate::platform::http::json;
use crate::platform::http::keyed::{self, Keyed};
use crate::platform::http::{
    Answer, Body, Envelope, ErrorEnvelope, IdempotencyHeader, PathId, PathName, Query, RequestMeta, deleted, ok,
};
use crate::platform::ids::CategoryId;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoriesData {
    categories: Vec<CategoryView>,
}

/// A category with what is around it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoryInTree {
    /// With the tree below it.
    category: CategoryView,
    /// Those above it, from the top; for a breadcrumb.
    ancestors: Vec<CategoryView>,
}

/// In which shape.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCategories {
    /// `true`: each category has its `children`, instead of one flat list.
    tree: Option<String>,
}

/// A new category.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CreateCategory {
    #[schema(value_type = String, min_length = 1, max_length = 120)]
    name: CategoryName,
    /// Made from the name when left out, with a number behind it where another category has it.
    #[schema(value_type = Option<String>, max_length = 120)]
    slug: Option<Slug>,
    parent_id: Option<CategoryId>,
}

/// A change of a category. Fields that are left out stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateCategory {
    /// The version that the change is based on.
    version: i32,
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, min_length = 1, max_length = 120)]
    name: Option<CategoryName>,
    /// Who asks for the old one is led to the new one.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = String, max_length = 120)]
    slug: Option<Slug>,
    /// `null` moves it to the top.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = Option<CategoryId>)]
    parent_id: Option<Option<CategoryId>>,
    /// Its place among its siblings; the lowest comes first.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(value_type = i32, minimum = 0, maximum = 1000000)]
    order: Option<i32>,
}

/// The order of categories that have the same parent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OrderCategories {
    /// None for those at the top.
    parent_id: Option<CategoryId>,
    /// Each exactly once.
    ids: Vec<CategoryId>,
}

/// What happens to the content of a category that is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteCategory {
    /// Refused with 409 when it is not the current one. Without it the category is removed whatever its version is.
    version: Option<i32>,
    /// Where its products and subcategories go, and links with its slug lead.
    #[param(value_type = Option<CategoryId>)]
    move_to: Option<String>,
}

/// List categories
///
/// Each is followed by those below it, siblings in their order.
#[utoipa::path(get, path = "/categories", tag = "Catalogue", security(()), params(ListCategories), responses(
    (status = 200, body = Envelope<CategoriesData>),
    (status = 400, body = ErrorEnvelope),
))]
pub(super) async fn list_categories(
    State(app): State<App>,
    Query(query): Query<ListCategories>,
) -> Answer<CategoriesData> {
    let tree = match query.tree.as_deref() {
        Some("true") => true,
        None | Some("" | "false") => false,
        Some(_) => return Err(Error::field("tree", "must be true or false")),
    };
    let flat = service::list(&app).await?;
    Ok(ok(CategoriesData { categories: if tree { nested(flat) } else { flat } }))
}

/// Get a category
///
/// With the tree below it. A slug that the category had before is led to the one that it has now.
#[utoipa::path(get, path = "/categories/{category}", tag = "Catalogue", security(()),
    params(("category" = String, Path, description = "The category's id or slug")), responses(
    (status = 200, body = Envelope<CategoryInTree>),
    (status = 308, description = "The category has another slug now", headers(("Location" = String))),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_category(State(app): State<App>, PathName(name): PathName) -> Result<Response> {
    Ok(match service::get(&app, &name).await? {
        Named::Category(category, ancestors) => ok(CategoryInTree { category, ancestors }).into_response(),
        Named::Moved(slug) => Redirect::permanent(&format!("/api/v1/categories/{slug}")).into_response(),
    })
}

/// Create a category
///
/// It comes after its siblings. Send an `Idempotency-Key`: a repeated request with the same key and body gets the first
/// answer, and no second category.
#[utoipa::path(post, path = "/categories", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, kept for 24 hours")),
    request_body = CreateCategory, responses(
    (status = 201, body = Envelope<CategoryData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The slug is taken, the parent is at the tenth level, or the same key is still running"),
    (status = 422, body = ErrorEnvelope, description = "The key was used with another body"),
))]
pub(super) async fn create_category(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    IdempotencyHeader(key): IdempotencyHeader,
    body: Body<CreateCategory>,
) -> Result<Keyed> {
    let mut faults = Faults::default();
    faults.slug(body.value.slug.as_ref().map(Slug::as_str), RESERVED_CATEGORIES);
    faults.finish()?;
    let key = keyed::key(key, identity.user_id, "POST /categories", "", &body.fingerprint);
    let new = NewCategory {
        name: body.value.name.into_string(),
        slug: body.value.slug.map(Slug::into_string),
        parent_id: body.value.parent_id,
    };
    service::create(&app, &identity, &meta, &new, key).await
}

/// Change or move a category
#[utoipa::path(patch, path = "/categories/{category}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("category" = CategoryId, Path)), request_body = UpdateCategory,
    responses(
    (status = 200, body = Envelope<CategoryData>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "The version is not the current one, the slug is taken, or it would be below itself or too deep"),
))]
pub(super) async fn update_category(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<CategoryId>,
    meta: RequestMeta,
    body: Body<UpdateCategory>,
) -> Answer<CategoryData> {
    let body = body.value;
    let mut faults = Faults::default();
    faults.slug(body.slug.as_ref().map(Slug::as_str), RESERVED_CATEGORIES);
    let fits = body.order.is_none_or(|order| (0..=1_000_000).contains(&order));
    faults.check(fits, "order", "must be between 0 and 1000000");
    faults.finish()?;
    let change = CategoryChange {
        name: body.name.map(Line::into_string),
        slug: body.slug.map(Slug::into_string),
        parent_id: body.parent_id,
        position: body.order,
    };
    let category = service::update(&app, &identity, &meta, (id, body.version), &change).await?;
    Ok(ok(CategoryData { category }))
}

/// Put categories in order
///
/// All that have the same parent.
#[utoipa::path(put, path = "/categories/order", tag = "Catalogue, staff", security(("bearer" = ["manage_catalog"])),
    request_body = OrderCategories, responses(
    (status = 200, body = Envelope<CategoriesData>),
    (status = 400, body = ErrorEnvelope, description = "A sibling is missing, there twice or another parent's"),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
))]
pub(super) async fn order_categories(
    State(app): State<App>,
    identity: Identity,
    meta: RequestMeta,
    body: Body<OrderCategories>,
) -> Answer<CategoriesData> {
    let categories = service::set_order(&app, &identity, &meta, body.value.parent_id, &body.value.ids).await?;
    Ok(ok(CategoriesData { categories }))
}

/// Remove a category
///
/// An empty one, or, with `moveTo`, any.
#[utoipa::path(delete, path = "/categories/{category}", tag = "Catalogue, staff",
    security(("bearer" = ["manage_catalog"])), params(("category" = CategoryId, Path), DeleteCategory), responses(
    (status = 200, body = Envelope<Empty>),
    (status = 400, body = ErrorEnvelope),
    (status = 401, body = ErrorEnvelope),
    (status = 403, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
    (status = 409, body = ErrorEnvelope, description = "It is not empty, or the version is not the current one"),
))]
pub(super) async fn delete_category(
    State(app): State<App>,
    identity: Identity,
    PathId(id): PathId<CategoryId>,
    Query(which): Query<DeleteCategory>,
    meta: RequestMeta,
) -> Answer<Empty> {
    let move_to = which.move_to.as_deref().map(str::parse).transpose();
    let move_to = move_to.map_err(|_| Error::field("moveTo", "must be a UUID"))?;
    service::delete(&app, &identity, &meta, (id, which.version), move_to).await?;
    Ok(deleted("The category has been removed."))
}
