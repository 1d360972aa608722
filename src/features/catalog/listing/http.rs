//! Lists as shoppers ask for them.

use axum::extract::{OriginalUri, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{Asked, ListQuery, read};
use super::service::{self, Found, Wanted};
use super::view::{FacetsView, ProductsData, SearchView, views};
use crate::app::App;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathName, Query, ok};
use crate::platform::page::PageQuery;

/// The whole answer, ready to be sent.
async fn rendered(app: App, wanted: Wanted) -> Result<Bytes> {
    let Found { rows, pagination, search, facets } = service::list(&app, wanted).await?;
    let data = ProductsData {
        products: views(&app, rows),
        facets: facets.map(FacetsView::from),
        search: search.map(SearchView::from),
    };
    Ok(Bytes::from(ok(data).page(pagination).to_json().map_err(Error::internal)?))
}

/// Answers a query, from memory where it was answered before.
pub(super) async fn answer(app: &App, uri: &Uri, wanted: Wanted) -> Result<Response> {
    let asked = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let list = app.list_cache.get(asked, || rendered(app.clone(), wanted.clone()).boxed()).await?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], list).into_response())
}

/// List products
///
/// In pages, or, for walking through all of a large catalogue, with `cursor`: each answer has the next one in
/// `pagination.nextCursor`, and the last one has none. Nothing is left out or repeated, whatever is added meanwhile; only a product
/// whose own sort key changes on the way may be met again or missed. A search with more
/// than 10,000 matches has those with the words in their titles first, by popularity where these are as many. Pages end at 10,000
/// products of a longer list.
#[utoipa::path(get, path = "/products", tag = "Catalogue", security(()), params(ListQuery), responses(
    (status = 200, body = Envelope<ProductsData>, headers(("ETag" = String))),
    (status = 304, description = "The list is as the caller knows it"),
    (status = 400, body = ErrorEnvelope, description = "A filter is wrong; all are listed"),
))]
pub(in crate::features::catalog) async fn list_products(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    let Asked { category, filter, sort, facets, page, after } = read(query, &app.config.lists)?;
    let wanted = Wanted { category, filter, sort, page, after, facets };
    answer(&app, &uri, wanted).await
}

/// How many related products.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in crate::features::catalog) struct RelatedQuery {
    /// 8 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List related products
///
/// Those that share most tags, then those of its category; what can be bought comes first.
#[utoipa::path(get, path = "/products/{product}/related", tag = "Catalogue", security(()),
    params(("product" = String, Path, description = "The product's id or slug"), RelatedQuery), responses(
    (status = 200, body = Envelope<ProductsData>),
    (status = 400, body = ErrorEnvelope),
    (status = 404, body = ErrorEnvelope),
))]
pub(in crate::features::catalog) async fn list_related_products(
    State(app): State<App>,
    PathName(name): PathName,
    Query(query): Query<RelatedQuery>,
) -> Answer<ProductsData> {
    let limit = PageQuery { page: None, limit: query.limit.or(Some(8)) }.check(&app.config.lists)?.limit;
    let products = views(&app, service::related(&app, &name, limit).await?);
    Ok(ok(ProductsData { products, facets: None, search: None }))
}
