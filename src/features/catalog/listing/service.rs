//! Answers lists and searches.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::facets::{self, Bounds, Counted, InCategory, SAMPLE};
use super::store::search::{self, Marked};
use super::store::{self, related};
use super::{CategoryOf, Filter, Matching, Part, Position, Search, Sort, Words, cursor};
use crate::app::App;
use crate::features::catalog::model::Listed;
use crate::features::catalog::store::categories;
use crate::platform::count::{COUNTED, Total};
use crate::platform::error::{Error, Result};
use crate::platform::ids::ProductId;
use crate::platform::page::{Page, Pagination, too_deep};

/// One answer of a list.
#[derive(Debug)]
pub(super) struct Found {
    pub rows: Vec<Listed>,
    pub pagination: Pagination,
    /// Of a search.
    pub search: Option<Searched>,
    pub facets: Option<Facets>,
}

/// What a search came to.
#[derive(Debug)]
pub(super) struct Searched {
    /// The words that were searched for instead, because the typed ones lead nowhere.
    pub corrected: Option<String>,
    /// Words to try when nothing matches.
    pub suggestions: Vec<String>,
    pub marked: Vec<Marked>,
}

/// Further choices, with what they would leave.
#[derive(Debug)]
pub(super) struct Facets {
    pub categories: Vec<InCategory>,
    pub tags: Vec<Counted>,
    pub colours: Vec<Counted>,
    pub bounds: Bounds,
    /// Whether there are more matches than were looked at.
    pub is_partial: bool,
}

/// What to answer with.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Whose descendants count. It becomes a part of the filter.
    pub category: Option<CategoryOf>,
    pub filter: Filter,
    pub sort: Sort,
    pub page: Page,
    /// Instead of the page.
    pub after: Option<Position>,
    pub facets: bool,
}

/// One part of a list.
///
/// # Errors
/// `Validation` of `page` when it lies so deep in a large list that only a cursor leads there.
pub(super) async fn list(app: &App, mut wanted: Wanted) -> Result<Found> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    if let Some(category) = &wanted.category {
        wanted.filter.categories = Some(categories::below(c, category).await?);
    }
    let wanted = &wanted;
    let Wanted { filter, sort, page, after, facets, .. } = wanted;
    let part = after.clone().map_or(Part::Offset(page.offset()), Part::After);
    let (matching, rows, next, searched) = match &filter.search {
        None => {
            refuse_depth(c, filter, None, &part).await?;
            let (rows, next) = store::part(c, filter, None, *sort, page.limit, &part).await?;
            (None, rows, next, None)
        }
        Some(search) => {
            let (matching, rows, next, mut searched) = find(c, wanted, search, &part).await?;
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id.0).collect();
            if let (Matching::Words(Words { query, .. }), false) = (&matching, ids.is_empty()) {
                searched.marked = search::marked(c, &ids, query).await?;
            }
            (Some(matching), rows, next, Some(searched))
        }
    };
    let matching = matching.as_ref();
    let next_cursor = next.map(|position| cursor::encode(*sort, &position));
    let pagination = match part {
        Part::After(_) => Pagination::behind_cursor(page.limit, next_cursor),
        Part::Offset(offset) => {
            let shown = i64::try_from(rows.len()).map_err(Error::internal)?;
            // What nothing follows is the last page: then the total is known without counting.
            let total = if next_cursor.is_none() && shown < page.limit && (shown > 0 || offset == 0) {
                Total { count: offset + shown, is_estimate: false }
            } else {
                store::total(c, filter, matching).await?
            };
            page.of_total(total, next_cursor)
        }
    };
    let facets = if *facets { Some(count_facets(c, filter, matching).await?) } else { None };
    connection.done();
    Ok(Found { rows, pagination, search: searched, facets })
}

/// Counting to a page costs as much as reading all before it. Where that is much, only a cursor goes on.
async fn refuse_depth(c: &mut PgConnection, filter: &Filter, matching: Option<&Matching>, part: &Part) -> Result<()> {
    if let Part::Offset(offset) = part
        && *offset >= COUNTED
        && store::total(c, filter, matching).await?.is_estimate
    {
        return Err(too_deep());
    }
    Ok(())
}

/// Searches for the words; if nothing has them, for what they probably mean; then for titles that look alike.
async fn find(
    c: &mut PgConnection,
    wanted: &Wanted,
    search: &Search,
    part: &Part,
) -> Result<(Matching, Vec<Listed>, Option<Position>, Searched)> {
    let Wanted { filter, sort, page, .. } = wanted;
    let mut searched = Searched { corrected: None, suggestions: Vec::new(), marked: Vec::new() };
    let matching = search::matching(c, search).await?;
    refuse_depth(c, filter, Some(&matching), part).await?;
    let (rows, next) = store::part(c, filter, Some(&matching), *sort, page.limit, part).await?;
    // Behind the last page nothing is meant differently.
    let is_first = matches!(part, Part::Offset(0));
    if !rows.is_empty() || !is_first && store::exists(c, filter, &matching).await? {
        return Ok((matching, rows, next, searched));
    }
    let words = search::corrections(c, &search.words).await?;
    let meant = words.join(" ");
    if let Some(corrected) = Search::new(&meant)
        && words != search.words
    {
        let matching = search::matching(c, &corrected).await?;
        if store::exists(c, filter, &matching).await? {
            let (rows, next) = store::part(c, filter, Some(&matching), *sort, page.limit, part).await?;
            searched.corrected = Some(meant);
            return Ok((matching, rows, next, searched));
        }
    }
    let alike = Matching::Alike(search.text.clone());
    let (rows, next) = store::part(c, filter, Some(&alike), *sort, page.limit, part).await?;
    if rows.is_empty() && is_first {
        searched.suggestions = search::alike(c, &search.words).await?;
    }
    Ok((alike, rows, next, searched))
}

async fn count_facets(c: &mut PgConnection, filter: &Filter, matching: Option<&Matching>) -> Result<Facets> {
    let bounds = facets::bounds(c, filter, matching).await?;
    Ok(Facets {
        categories: facets::categories(c, filter, matching).await?,
        tags: facets::values(c, facets::Listed::Tags, filter, matching).await?,
        colours: facets::values(c, facets::Listed::Colours, filter, matching).await?,
        is_partial: bounds.looked_at >= SAMPLE,
        bounds,
    })
}

/// What may be meant by an unfinished text: it, with its last word completed, or with a word that looks like it; and products.
pub(super) async fn suggest(app: &App, search: &Search, limit: i64) -> Result<(Vec<String>, Vec<Listed>)> {
    let mut connection = app.db.acquire().await?;
    let c = &mut *connection;
    let (before, last) = search.unfinished();
    let mut words = search::completions(c, last, limit).await?;
    if words.is_empty() {
        words = search::alike(c, &[last.to_owned()]).await?;
    }
    let words = words.into_iter().map(|word| format!("{before}{word}")).collect();
    let matching = search::matching(c, search).await?;
    let (rows, _) =
        store::part(c, &Filter::default(), Some(&matching), Sort::Relevance, limit, &Part::Offset(0)).await?;
    Ok((words, rows))
}

/// Products that go with one.
///
/// # Errors
/// `NotFound` for a product that is not for sale.
pub(super) async fn related(app: &App, name: &str, limit: i64) -> Result<Vec<Listed>> {
    let mut connection = app.db.acquire().await?;
    let product = crate::features::catalog::store::find(&mut connection, name.parse().ok(), name, false)
        .await?
        .ok_or(Error::NotFound("The product"))?;
    Ok(related::related(&mut connection, product.id, limit).await?)
}

/// The first products of the demo's front page: title, picture, price.
///
/// # Errors
/// When the database does not answer.
pub async fn first_products(app: &App, limit: i64) -> Result<Vec<Value>> {
    let mut connection = app.db.acquire().await?;
    let (rows, _) =
        store::part(&mut connection, &Filter::default(), None, Sort::Newest, limit, &Part::Offset(0)).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let row = row.for_shoppers();
            let first = row.variants.iter().map(|v| v.price_minor).min().unwrap_or(row.price_minor);
            json!({
                "title": row.title,
                "image_url": row.images.first().map(|image| image.url.clone()),
                "price_minor": first,
                "currency": row.currency,
                "url": format!("/api/v1/products/{}", row.slug),
                "from": row.variants.iter().any(|v| v.price_minor != first),
            })
        })
        .collect())
}

/// Products whose popularity one transaction changes.
const STEP: usize = 500;

/// Sets how many units of each product were sold lately; of all others none. In steps, so that nobody waits long. Gives how
/// many products changed.
///
/// # Errors
/// The database's.
pub async fn set_popularity(app: &App, sold: &[(ProductId, i64)]) -> Result<usize> {
    let mut changes: BTreeMap<Uuid, i32> =
        sold.iter().map(|(id, units)| (id.0, i32::try_from(*units).unwrap_or(i32::MAX))).collect();
    for (id, known) in store::popularity(&mut *app.db.acquire().await?).await? {
        match changes.get(&id) {
            Some(units) if *units == known => {
                changes.remove(&id);
            }
            Some(_) => {}
            None => {
                changes.insert(id, 0);
            }
        }
    }
    let (ids, units): (Vec<Uuid>, Vec<i32>) = changes.into_iter().unzip();
    for (ids, units) in ids.chunks(STEP).zip(units.chunks(STEP)) {
        let mut tx = app.db.begin().await?;
        store::set_popularity(&mut tx, ids, units).await?;
        tx.commit().await?;
    }
    if !ids.is_empty() {
        app.product_cache.clear().await;
    }
    Ok(ids.len())
}
