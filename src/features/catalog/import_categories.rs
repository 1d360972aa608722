//! The categories that a file puts its products into.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::import::ImportedCategory;
use super::import_batch::refused;
use super::import_rows::Item;
use super::rules::RESERVED_CATEGORIES;
use super::store;
use super::store::import::{self as sql, CategoryNode};
use crate::platform::error::Result;
use crate::platform::ids::CategoryId;
use crate::platform::text::slugify;

/// The shop's categories, read when they are first needed.
#[derive(Default)]
pub(super) struct Categories(Option<Vec<CategoryNode>>);

impl Categories {
    async fn nodes(&mut self, tx: &mut PgConnection) -> Result<&mut Vec<CategoryNode>> {
        let nodes = match self.0.take() {
            Some(nodes) => nodes,
            None => sql::category_nodes(tx).await?,
        };
        Ok(self.0.insert(nodes))
    }

    /// The category at the end of a path, none for an empty path; `None` if it is not there.
    pub(super) async fn find(
        &mut self,
        tx: &mut PgConnection,
        path: &[ImportedCategory],
    ) -> Result<Option<Option<CategoryId>>> {
        if path.is_empty() {
            return Ok(Some(None));
        }
        let nodes = self.nodes(tx).await?;
        let mut parent = None;
        for part in named(path) {
            match find(nodes, parent, part, path.len()) {
                Some(node) => parent = Some(node.id),
                None => return Ok(None),
            }
        }
        Ok(Some(parent))
    }
}

/// The category of each product, made where it is not there.
pub(super) async fn make(
    tx: &mut PgConnection,
    items: &[Item<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Option<CategoryId>>> {
    let mut categories = Categories::default();
    let mut found: HashMap<&[ImportedCategory], Option<CategoryId>> = HashMap::new();
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let path = item.product.category_tree.as_slice();
        let id = match found.get(path) {
            _ if path.is_empty() => None,
            Some(id) => *id,
            None => {
                let nodes = categories.nodes(tx).await?;
                let id = make_one(tx, nodes, path, now).await?;
                found.insert(path, id);
                id
            }
        };
        ids.push(id);
    }
    Ok(ids)
}

/// What a category is called in addresses; empty if there is nothing to call it.
fn slug_of(category: &ImportedCategory) -> String {
    category.slug.clone().unwrap_or_else(|| slugify(&category.name))
}

/// The part of a path that can be named in addresses.
fn named(path: &[ImportedCategory]) -> impl Iterator<Item = &ImportedCategory> {
    path.iter().take_while(|part| !slug_of(part).is_empty())
}

/// A category of a path of some length, below its parent. One whose file gives slugs is known by its slug, others by their
/// name below their parent, and one alone by the slug of its name.
fn find<'a>(
    nodes: &'a [CategoryNode],
    parent: Option<CategoryId>,
    part: &ImportedCategory,
    length: usize,
) -> Option<&'a CategoryNode> {
    let (slug, name) = (slug_of(part), part.name.to_lowercase());
    let by_slug = part.slug.is_some() || length == 1;
    nodes.iter().find(|node| match by_slug {
        true => node.slug == slug || node.parent_id.is_none() && is_reserved(&slug) && node.name.to_lowercase() == name,
        false => node.parent_id == parent && (node.slug == slug || node.name.to_lowercase() == name),
    })
}

/// Whether a slug is a word that this shop's addresses need for something else.
fn is_reserved(slug: &str) -> bool {
    RESERVED_CATEGORIES.contains(&slug) || uuid::Uuid::try_parse(slug).is_ok()
}

/// The last category of a path.
async fn make_one(
    tx: &mut PgConnection,
    nodes: &mut Vec<CategoryNode>,
    path: &[ImportedCategory],
    now: DateTime<Utc>,
) -> Result<Option<CategoryId>> {
    let mut parent: Option<CategoryNode> = None;
    for part in named(path) {
        let above = parent.as_ref().map(|parent| parent.id);
        if let Some(found) = find(nodes, above, part, path.len()) {
            parent = Some(found.clone());
            continue;
        }
        // “Shirts” may stand below “Men” and below “Women”; an address has one of them only.
        let wanted = slug_of(part);
        let mut slug = wanted.clone();
        let mut n = 1;
        while is_reserved(&slug) || nodes.iter().any(|node| node.slug == slug) {
            let below = parent.as_ref().map(|parent| format!("{}-", parent.slug)).unwrap_or_default();
            slug = if n == 1 && !below.is_empty() {
                format!("{below}{wanted}")
            } else {
                format!("{below}{wanted}-{}", n + 1)
            };
            n += 1;
        }
        let id = CategoryId::new();
        store::categories::insert(tx, id, above, &part.name, &slug, now).await.map_err(refused)?;
        let node = CategoryNode { id, parent_id: above, name: part.name.clone(), slug };
        nodes.push(node.clone());
        parent = Some(node);
    }
    Ok(parent.map(|parent| parent.id))
}
