//! The catalogue as shoppers read it.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{CategoryOf, Filter, Search, Sort};
use super::model::ProductView;
use super::service::{self, Named, ProductData};
use crate::app::App;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::layers::is_known;
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathName, Query, ok};
use crate::platform::money::Amount;
use crate::platform::page::PageQuery;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductsData {
    products: Vec<ProductView>,
}

/// Filters of the list. Lists are separated by commas. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// A category's id or slug; its subcategories count.
    category: Option<String>,
    /// Words to search for.
    search: Option<String>,
    /// Main units, such as 5000 or 5000.50.
    min_price: Option<String>,
    /// Main units.
    max_price: Option<String>,
    /// Products with any of these tags.
    tags: Option<String>,
    /// Products with a variant in any of these colours.
    colors: Option<String>,
    /// `true`: only what can be bought now.
    in_stock: Option<String>,
    /// `true` or `false`.
    is_featured: Option<String>,
    /// `newest`, `created_at`, `price`, `title` or `relevance`.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    sort_order: Option<String>,
    #[param(minimum = 1)]
    page: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// Words of a search.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// What the shopper types; the last word may be unfinished.
    q: String,
    #[param(minimum = 1)]
    page: Option<i64>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Reads the filters and notes every wrong one.
fn check(query: ListQuery, faults: &mut Vec<FieldError>) -> (Filter, Sort, PageQuery) {
    fn some(text: Option<String>) -> Option<String> {
        text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    }
    fn list(text: Option<String>) -> Vec<String> {
        some(text)
            .map(|t| t.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).take(50).collect())
            .unwrap_or_default()
    }
    let mut parse = |field: &str, text: Option<String>, what: &str, ok: &dyn Fn(&str) -> bool| {
        some(text).filter(|text| {
            let fine = ok(text);
            if !fine {
                faults.push(FieldError::new(field, what));
            }
            fine
        })
    };
    let amount = |text: &str| text.parse::<Amount>().is_ok();
    let flag = |text: &str| matches!(text, "true" | "false");
    let number = |text: &str| text.parse::<i64>().is_ok();
    let price = "must be a number in main units, such as 45000 or 45000.50";
    let min = parse("minPrice", query.min_price, price, &amount);
    let max = parse("maxPrice", query.max_price, price, &amount);
    let in_stock = parse("inStock", query.in_stock, "must be true or false", &flag);
    let featured = parse("isFeatured", query.is_featured, "must be true or false", &flag);
    let page = parse("page", query.page, "must be a whole number", &number);
    let limit = parse("limit", query.limit, "must be a whole number", &number);
    let sorts = ["newest", "created_at", "createdAt", "price", "title", "relevance"];
    let by = parse("sortBy", query.sort_by, "must be newest, created_at, price, title or relevance", &|text| {
        sorts.contains(&text)
    });
    let order = parse("sortOrder", query.sort_order, "must be asc or desc", &|text| matches!(text, "asc" | "desc"));
    let search = some(query.search).and_then(|text| Search::new(&text));
    let up = order.as_deref() == Some("asc");
    let sort = match by.as_deref() {
        Some("price") if order.as_deref() == Some("desc") => Sort::PriceDown,
        Some("price") => Sort::PriceUp,
        Some("title") if order.as_deref() == Some("desc") => Sort::TitleDown,
        Some("title") => Sort::TitleUp,
        Some("relevance") => Sort::Relevance,
        None if search.is_some() => Sort::Relevance,
        _ if up => Sort::Oldest,
        _ => Sort::Newest,
    };
    let minor = |text: Option<String>| text.and_then(|t| t.parse::<Amount>().ok()).map(|amount| amount.0);
    let filter = Filter {
        category: some(query.category).map(|text| match text.parse() {
            Ok(id) => CategoryOf::Id(id),
            Err(_) => CategoryOf::Slug(text),
        }),
        search,
        min_price: minor(min),
        max_price: minor(max),
        tags: list(query.tags),
        colours: list(query.colors).into_iter().map(|colour| colour.to_lowercase()).collect(),
        in_stock: in_stock.as_deref() == Some("true"),
        is_featured: featured.map(|text| text == "true"),
    };
    let int = |text: Option<String>| text.and_then(|t| t.parse().ok());
    (filter, sort, PageQuery { page: int(page), limit: int(limit) })
}

/// List products
#[utoipa::path(get, path = "/products", tag = "Catalogue", security(()), params(ListQuery), responses(
    (status = 200, body = Envelope<ProductsData>),
    (status = 400, body = ErrorEnvelope, description = "A filter is wrong; all are listed"),
))]
pub(super) async fn list_products(State(app): State<App>, Query(query): Query<ListQuery>) -> Answer<ProductsData> {
    let mut faults = Vec::new();
    let (filter, sort, page) = check(query, &mut faults);
    let page = match page.check(&app.config.lists) {
        Ok(page) if faults.is_empty() => page,
        Ok(_) => return Err(Error::Validation(faults)),
        Err(Error::Validation(more)) => {
            faults.extend(more);
            return Err(Error::Validation(faults));
        }
        Err(other) => return Err(other),
    };
    let (products, pagination) = service::list_products(&app, &filter, sort, page).await?;
    Ok(ok(ProductsData { products }).page(pagination))
}

/// Search products
///
/// Finds whole words, beginnings of words and near misses; accents and case do not matter. Best first.
#[utoipa::path(get, path = "/products/search", tag = "Catalogue", security(()), params(SearchQuery), responses(
    (status = 200, body = Envelope<ProductsData>),
    (status = 400, body = ErrorEnvelope),
))]
pub(super) async fn search_products(State(app): State<App>, Query(query): Query<SearchQuery>) -> Answer<ProductsData> {
    let page = PageQuery { page: query.page, limit: query.limit }.check(&app.config.lists)?;
    let Some(search) = Search::new(&query.q) else {
        return Err(Error::field("q", "must have a word to search for"));
    };
    let filter = Filter { search: Some(search), ..Filter::default() };
    let (products, pagination) = service::list_products(&app, &filter, Sort::Relevance, page).await?;
    Ok(ok(ProductsData { products }).page(pagination))
}

/// Get a product
///
/// Answers 304 to a matching `If-None-Match`. A slug that the product had before is led to the one that it has now.
#[utoipa::path(get, path = "/products/{product}", tag = "Catalogue", security(()),
    params(("product" = String, Path, description = "The product's id or slug")), responses(
    (status = 200, body = Envelope<ProductData>, headers(("ETag" = String))),
    (status = 304, description = "The product is as the caller knows it"),
    (status = 308, description = "The product has another slug now", headers(("Location" = String))),
    (status = 404, body = ErrorEnvelope),
))]
pub(super) async fn get_product(
    State(app): State<App>,
    PathName(name): PathName,
    headers: HeaderMap,
) -> Result<Response> {
    let product = match service::get_product(&app, &name).await? {
        Named::Product(product) => product,
        Named::Moved(slug) => return Ok(Redirect::permanent(&format!("/api/v1/products/{slug}")).into_response()),
    };
    let known = is_known(headers.get_all(IF_NONE_MATCH), &product.etag);
    let head = [(ETAG, product.etag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, head).into_response()
    } else {
        (head, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], product.body).into_response()
    })
}
