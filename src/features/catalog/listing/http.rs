//! Lists and searches as shoppers ask for them.

use axum::extract::{OriginalUri, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::service::{self, Facets, Found, Searched, Wanted};
use super::store::facets::Counted;
use super::store::search::Marked;
use super::{CategoryOf, Filter, Search, Sort, cursor};
use crate::app::App;
use crate::features::catalog::model::{Listed, ProductView};
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::http::{Answer, Envelope, ErrorEnvelope, PathName, Query, ok};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::Amount;
use crate::platform::page::{Page, PageQuery};

/// Products of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::features::catalog) struct ProductsData {
    products: Vec<ProductView>,
    /// What further filters would leave, where `facets=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<FacetsView>,
    /// What a search came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchView>,
}

/// Counts of the matching products. What a facet itself filters does not narrow its own counts. At most 10,000 products are
/// looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FacetsView {
    /// Counted by the category that a product is in itself.
    categories: Vec<CategoryFacet>,
    tags: Vec<FacetValue>,
    colors: Vec<FacetValue>,
    price: PriceFacet,
    /// Products of which something can be bought now.
    in_stock: i64,
    /// Whether more products match than were looked at.
    is_partial: bool,
}

/// A category with matching products.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CategoryFacet {
    id: CategoryId,
    name: String,
    slug: String,
    count: i64,
}

/// A value and the products that have it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FacetValue {
    value: String,
    count: i64,
}

/// The cheapest and the dearest matching product.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PriceFacet {
    min: Option<Amount>,
    max: Option<Amount>,
}

/// What a search came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SearchView {
    /// The words that were searched for instead, because nothing has the typed ones.
    corrected_query: Option<String>,
    /// Words to try when nothing matches.
    suggestions: Vec<String>,
    highlights: Vec<Highlight>,
}

/// Where a product has the words. HTML: the words are in `<mark>`, all else is escaped.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Highlight {
    product_id: ProductId,
    #[schema(example = "Royal <mark>Kente</mark>")]
    title: String,
    /// A piece of the description.
    text: String,
}

impl From<Facets> for FacetsView {
    fn from(facets: Facets) -> Self {
        let values = |found: Vec<Counted>| {
            found.into_iter().map(|Counted { value, count }| FacetValue { value, count }).collect()
        };
        Self {
            categories: facets
                .categories
                .into_iter()
                .map(|c| CategoryFacet { id: CategoryId(c.id), name: c.name, slug: c.slug, count: c.count })
                .collect(),
            tags: values(facets.tags),
            colors: values(facets.colours),
            price: PriceFacet { min: facets.bounds.lowest.map(Amount), max: facets.bounds.highest.map(Amount) },
            in_stock: facets.bounds.in_stock,
            is_partial: facets.is_partial,
        }
    }
}

impl From<Searched> for SearchView {
    fn from(searched: Searched) -> Self {
        let highlight = |Marked { id, title, text }: Marked| Highlight {
            product_id: ProductId(id),
            title: to_html(&title),
            text: to_html(&text),
        };
        Self {
            corrected_query: searched.corrected,
            suggestions: searched.suggestions,
            highlights: searched.marked.into_iter().map(highlight).collect(),
        }
    }
}

/// Text in which U+E000 and U+E001 stand around what was found, as HTML.
fn to_html(marked: &str) -> String {
    let mut html = String::with_capacity(marked.len() + 16);
    for c in marked.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\u{e000}' => html.push_str("<mark>"),
            '\u{e001}' => html.push_str("</mark>"),
            c => html.push(c),
        }
    }
    html
}

fn views(app: &App, rows: Vec<Listed>) -> Vec<ProductView> {
    let base = app.config.public_url();
    rows.into_iter().map(|row| ProductView::new(row, &base, &app.media)).collect()
}

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
async fn answer(app: &App, uri: &Uri, wanted: Wanted) -> Result<Response> {
    let asked = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let list = app.list_cache.get(asked, || rendered(app.clone(), wanted.clone()).boxed()).await?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], list).into_response())
}

/// Filters of the list. Lists are separated by commas. Empty values do not filter.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(in crate::features::catalog) struct ListQuery {
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
    /// `newest`, `created_at`, `price`, `title`, `popular` or `relevance`.
    sort_by: Option<String>,
    /// `asc` or `desc`.
    sort_order: Option<String>,
    /// `true`: count what further filters would leave.
    facets: Option<String>,
    /// `pagination.nextCursor` of the answer before, with the same filters and order. Instead of `page`.
    cursor: Option<String>,
    #[param(minimum = 1)]
    page: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<String>,
}

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
}

/// What was asked for, as far as it could be read.
struct Asked {
    category: Option<CategoryOf>,
    filter: Filter,
    sort: Sort,
    cursor: Option<String>,
    facets: bool,
    page: PageQuery,
}

/// Reads the filters and notes every wrong one.
fn check(query: ListQuery, faults: &mut Vec<FieldError>) -> Asked {
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
    let facets = parse("facets", query.facets, "must be true or false", &flag);
    let page = parse("page", query.page, "must be a whole number", &number);
    let limit = parse("limit", query.limit, "must be a whole number", &number);
    let sorts = ["newest", "created_at", "createdAt", "price", "title", "popular", "relevance"];
    let by =
        parse("sortBy", query.sort_by, "must be newest, created_at, price, title, popular or relevance", &|text| {
            sorts.contains(&text)
        });
    let order = parse("sortOrder", query.sort_order, "must be asc or desc", &|text| matches!(text, "asc" | "desc"));
    let search = some(query.search).and_then(|text| Search::new(&text));
    let (up, down) = (order.as_deref() == Some("asc"), order.as_deref() == Some("desc"));
    let sort = match by.as_deref() {
        Some("price") if down => Sort::PriceDown,
        Some("price") => Sort::PriceUp,
        Some("title") if down => Sort::TitleDown,
        Some("title") => Sort::TitleUp,
        Some("popular") => Sort::Popular,
        Some("relevance") | None if search.is_some() => Sort::Relevance,
        _ if up => Sort::Oldest,
        _ => Sort::Newest,
    };
    let minor = |text: Option<String>| text.and_then(|t| t.parse::<Amount>().ok()).map(|amount| amount.0);
    let category = some(query.category).map(|text| match text.parse() {
        Ok(id) => CategoryOf::Id(id),
        Err(_) => CategoryOf::Slug(text),
    });
    let filter = Filter {
        categories: None,
        search,
        min_price: minor(min),
        max_price: minor(max),
        tags: list(query.tags),
        colours: list(query.colors).into_iter().map(|colour| colour.to_lowercase()).collect(),
        in_stock: in_stock.as_deref() == Some("true"),
        is_featured: featured.map(|text| text == "true"),
    };
    let int = |text: Option<String>| text.and_then(|t| t.parse().ok());
    Asked {
        category,
        filter,
        sort,
        cursor: some(query.cursor),
        facets: facets.as_deref() == Some("true"),
        page: PageQuery { page: int(page), limit: int(limit) },
    }
}

/// List products
///
/// In pages, or, for walking through all of a large catalogue, with `cursor`: each answer has the next one in
/// `pagination.nextCursor`, and the last one has none. Nothing is left out or repeated, whatever is added meanwhile.
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
    let mut faults = Vec::new();
    let Asked { category, filter, sort, cursor, facets, page } = check(query, &mut faults);
    let after = cursor.as_deref().map(|text| cursor::decode(sort, text));
    if let Some(None) = after {
        let message = if sort == Sort::Relevance {
            "does not go with relevance; sort by newest, price, title or popular"
        } else {
            "is not one of this list in this order; begin again without it"
        };
        faults.push(FieldError::new("cursor", message));
    } else if after.is_some() && page.page.is_some() {
        faults.push(FieldError::new("page", "must be left out with a cursor"));
    }
    let page = checked(page, &app, faults)?;
    let wanted = Wanted { category, filter, sort, page, after: after.flatten(), facets };
    answer(&app, &uri, wanted).await
}

fn checked(page: PageQuery, app: &App, mut faults: Vec<FieldError>) -> Result<Page> {
    match page.check(&app.config.lists) {
        Ok(page) if faults.is_empty() => Ok(page),
        Ok(_) => Err(Error::Validation(faults)),
        Err(Error::Validation(more)) => {
            faults.extend(more);
            Err(Error::Validation(faults))
        }
        Err(other) => Err(other),
    }
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
    let page = PageQuery { page: query.page, limit: query.limit }.check(&app.config.lists)?;
    let filter = Filter { search: Some(words(&query.q)?), ..Filter::default() };
    let wanted = Wanted { category: None, filter, sort: Sort::Relevance, page, after: None, facets: false };
    answer(&app, &uri, wanted).await
}

fn words(text: &str) -> Result<Search> {
    Search::new(text).ok_or_else(|| Error::field("q", "must have a word to search for"))
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
    let (words, rows) = service::suggest(&app, &words(&query.q)?, SUGGESTIONS).await?;
    let product = |row: Listed| SuggestedProduct { id: row.id, title: row.title, slug: row.slug };
    Ok(ok(SuggestionsData { words, products: rows.into_iter().map(product).collect() }))
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

#[cfg(test)]
mod tests {
    use super::to_html;

    #[test]
    fn what_was_found_is_marked_and_all_else_is_escaped() {
        let html = to_html("<b>Royal</b> \u{e000}Kente\u{e001} & \"lace\"");
        assert_eq!(html, "&lt;b&gt;Royal&lt;/b&gt; <mark>Kente</mark> &amp; &quot;lace&quot;");
    }
}
