//! Searches, and suggestions while typing.

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::http::answer;
use super::query::{WITHOUT_WORD, check_part};
use super::service::{self, Wanted};
use super::view::ProductsData;
use super::{Filter, Search, Sort};
use crate::app::App;
use crate::features::catalog::model::Listed;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, Query, ok};
use crate::platform::ids::ProductId;
use crate::platform::page::PageQuery;

/// Words of a search.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in crate::features::catalog) struct SearchQuery {
    /// What the shopper types; the last word may be unfinished.
    q: String,
    #[param(minimum = 1)]
    page: Option<i64>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `pagination.nextCursor` of the answer before, with the same words. Instead of `page`.
    cursor: Option<String>,
}

/// Search products
///
/// Finds whole words, beginnings of words, skus and near misses; accents and case do not matter. Best first. Where nothing
/// has the typed words, those that were probably meant are searched for, and told.
#[utoipa::path(get, path = "/products/search", tag = "Catalogue", security(()), params(SearchQuery), responses(
    (status = 200, body = Envelope<ProductsData>, headers(("ETag" = String))),
    (status = 304, description = "The answer is as the caller knows it"),
    (status = 400, body = ErrorEnvelope),
))]
pub(in crate::features::catalog) async fn search_products(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<SearchQuery>,
) -> Result<Response> {
    let mut faults = Vec::new();
    let search = Search::new(&query.q);
    if search.is_none() {
        faults.push(FieldError::new("q", WITHOUT_WORD));
    }
    let page = PageQuery { page: query.page, limit: query.limit };
    let (page, after) = check_part(Sort::Relevance, page, query.cursor, &app.config.lists, faults)?;
    let filter = Filter { search, ..Filter::default() };
    let wanted = Wanted { category: None, filter, sort: Sort::Relevance, page, after, facets: false };
    answer(&app, &uri, wanted).await
}

/// An unfinished text.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(in crate::features::catalog) struct SuggestQuery {
    /// What the shopper has typed so far.
    q: String,
}

/// What may be meant.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::features::catalog) struct SuggestionsData {
    /// Texts to search for.
    words: Vec<String>,
    products: Vec<SuggestedProduct>,
}

/// A product to go to at once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuggestedProduct {
    id: ProductId,
    title: String,
    slug: String,
}

/// Texts and products of one answer while typing.
const SUGGESTIONS: i64 = 8;

/// Suggest while typing
#[utoipa::path(get, path = "/products/suggestions", tag = "Catalogue", security(()), params(SuggestQuery), responses(
    (status = 200, body = Envelope<SuggestionsData>),
    (status = 400, body = ErrorEnvelope),
))]
pub(in crate::features::catalog) async fn suggest_products(
    State(app): State<App>,
    Query(query): Query<SuggestQuery>,
) -> Answer<SuggestionsData> {
    let search = Search::new(&query.q).ok_or_else(|| Error::field("q", WITHOUT_WORD))?;
    let (words, rows) = service::suggest(&app, &search, SUGGESTIONS).await?;
    let product = |row: Listed| SuggestedProduct { id: row.id, title: row.title, slug: row.slug };
    Ok(ok(SuggestionsData { words, products: rows.into_iter().map(product).collect() }))
}
