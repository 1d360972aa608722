//! Lists as they are answered.

use serde::Serialize;
use utoipa::ToSchema;

use super::service::{Facets, Searched};
use super::store::facets::Counted;
use super::store::search::Marked;
use crate::app::App;
use crate::features::catalog::model::{Listed, ProductView};
use crate::platform::ids::{CategoryId, ProductId};
use crate::platform::money::Amount;

/// Products of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::features::catalog) struct ProductsData {
    pub(super) products: Vec<ProductView>,
    /// What further filters would leave, where `facets=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) facets: Option<FacetsView>,
    /// What a search came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<SearchView>,
}

/// Counts of the matching products. What a facet itself filters does not narrow its own counts. Of more than 10,000 matches,
/// 10,000 are looked at, drawn evenly and always the same ones; the prices are of all.
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
    /// Whether more products match than were looked at: then the counts are of a sample, and say how values compare, not how many
    /// products have them.
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

pub(super) fn views(app: &App, rows: Vec<Listed>) -> Vec<ProductView> {
    let base = app.config.public_url();
    rows.into_iter().map(|row| ProductView::new(row, &base, &app.media)).collect()
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
