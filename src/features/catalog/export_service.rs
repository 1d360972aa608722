//! Writes the whole catalogue, a few products at a time, in the order in which they were made.

use std::collections::HashMap;

use bytes::Bytes;
use futures::Stream;
use serde_json::value::RawValue;

use super::import::{Record, RecordCategory, RecordImage, RecordVariant, RecordWriter};
use super::store::export::{self, ExportRow};
use super::store::import::{self as import_store, CategoryNode};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::inventory;
use crate::platform::error::{Error, Result};
use crate::platform::format::absolute_url;
use crate::platform::http::RequestMeta;
use crate::platform::ids::{CategoryId, ProductId, VariantId};
use crate::platform::money::Amount;

/// Products read at once.
const BATCH: i64 = 100;

/// In which form products are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// AGAPE's own CSV.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl ExportFormat {
    /// Its name, which is also what files of it end with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl std::str::FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Csv, Self::Jsonl].into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| "must be csv or jsonl".to_owned())
    }
}

/// Puts on record that somebody takes the catalogue away; nobody stands for the command line.
///
/// # Errors
/// When the database does not answer.
pub async fn record_export(
    app: &App,
    actor: Option<&Identity>,
    meta: &RequestMeta,
    format: ExportFormat,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let entry = audit::Entry {
        actor,
        action: "product.export",
        entity: "product",
        entity_id: None,
        before: None,
        after: Some(serde_json::json!({"format": format.as_str()})),
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await
}

/// The catalogue as a file, piece by piece. Products that are made while it is read may be in it.
pub fn export(app: App, format: ExportFormat) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    // What comes next: the products after this one, or nothing.
    futures::stream::try_unfold((app, Some(None)), move |(app, next)| async move {
        let Some(after) = next else { return Ok(None) };
        let (records, last) = batch(&app, after).await?;
        let bytes = written(&records, format, after.is_none()).map_err(Error::internal)?;
        Ok(Some((bytes, (app, last.map(Some)))))
    })
}

/// The next products, and the last of them if there may be more.
async fn batch(app: &App, after: Option<ProductId>) -> Result<(Vec<Record>, Option<ProductId>)> {
    let mut connection = app.db.acquire().await?;
    let rows = export::products(&mut connection, after, BATCH).await?;
    let nodes = import_store::category_nodes(&mut connection).await?;
    let nodes: HashMap<CategoryId, CategoryNode> = nodes.into_iter().map(|node| (node.id, node)).collect();
    let variants: Vec<VariantId> = rows.iter().flat_map(|row| row.variants.iter().map(|variant| variant.id)).collect();
    let stock = inventory::on_hand(&mut connection, &variants).await?;
    let is_full = i64::try_from(rows.len()).map_err(Error::internal)? == BATCH;
    let last = rows.last().map(|row| row.id).filter(|_| is_full);
    let base = app.config.public_url();
    let records = rows.into_iter().map(|row| record(row, &nodes, &stock, &base)).collect::<Result<Vec<_>>>()?;
    Ok((records, last))
}

fn record(
    row: ExportRow,
    nodes: &HashMap<CategoryId, CategoryNode>,
    stock: &HashMap<VariantId, i32>,
    base: &str,
) -> Result<Record> {
    let mut category = Vec::new();
    let mut above = row.category_id.and_then(|id| nodes.get(&id));
    // A circle cannot be, but must not hang an export.
    while let Some(node) = above.filter(|_| category.len() < 32) {
        category.insert(0, RecordCategory { slug: node.slug.clone(), name: node.name.clone() });
        above = node.parent_id.and_then(|id| nodes.get(&id));
    }
    Ok(Record {
        slug: row.slug,
        sku: row.sku,
        title: row.title,
        short_description: row.short_description,
        description: row.description,
        full_story: row.full_story,
        currency: Some(row.currency),
        price: Some(Amount(row.price_minor)),
        compare_at_price: row.compare_at_minor.map(Amount),
        category,
        vendor: row.vendor,
        tags: row.tags,
        weight: row.weight_grams,
        width: row.width,
        length: row.length,
        dimension_unit: row.dimension_unit,
        weave_origin: row.weave_origin,
        care_instructions: row.care_instructions,
        dispatch_time: row.dispatch_time,
        is_featured: row.is_featured,
        is_limited: row.is_limited,
        is_active: row.is_active,
        restore: false,
        metadata: Some(RawValue::from_string(row.metadata).map_err(Error::internal)?),
        // Another shop can fetch them from there.
        images: row
            .images
            .0
            .into_iter()
            .map(|image| RecordImage { url: absolute_url(&image.url, base), alt: image.alt, r#type: image.kind })
            .collect(),
        variants: row
            .variants
            .0
            .into_iter()
            .map(|variant| RecordVariant {
                sku: variant.sku,
                options: variant.options,
                price: Amount(variant.price_minor),
                compare_at_price: variant.compare_at_minor.map(Amount),
                barcode: variant.barcode,
                weight: variant.weight_grams,
                image: variant.image_url.map(|url| absolute_url(&url, base)),
                stock: Some(stock.get(&variant.id).copied().unwrap_or_default()),
            })
            .collect(),
    })
}

fn written(records: &[Record], format: ExportFormat, is_first: bool) -> std::io::Result<Bytes> {
    if format == ExportFormat::Csv {
        let mut csv = RecordWriter::new(Vec::new(), is_first)?;
        records.iter().try_for_each(|record| csv.write(record))?;
        return csv.into_inner().map(Bytes::from);
    }
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(Bytes::from(lines))
}
