//! Writes all levels, some at a time, in the order of their skus.

use bytes::Bytes;
use futures::Stream;

use super::file::{self, Row};
use super::store::levels::{self, Filter, Part, Sort};
use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::platform::error::{Error, Result};
use crate::platform::http::RequestMeta;

/// Levels read at once.
const BATCH: i64 = 500;

/// Puts on record that somebody takes the stock away.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn record_export(app: &App, actor: &Identity, meta: &RequestMeta) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "inventory.export",
        entity: "inventory",
        entity_id: None,
        before: None,
        after: None,
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await
}

/// All levels as a file, piece by piece.
pub(super) fn export(app: App) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    // What comes next: the beginning, what is behind a sku, or nothing.
    futures::stream::try_unfold((app, Some(Part::Offset(0))), |(app, next)| async move {
        let Some(part) = next else { return Ok(None) };
        let low_stock = app.config.inventory.low_stock;
        let mut connection = app.db.acquire().await?;
        let (listed, more) =
            levels::list(&mut connection, &Filter::default(), low_stock, Sort::Sku, &part, BATCH).await?;
        drop(connection);
        let rows = listed.iter().map(|level| Row {
            sku: &level.sku,
            title: &level.title,
            variant: &level.variant_name,
            reserved: level.reserved,
            on_hand: level.on_hand,
            version: level.version,
        });
        let bytes = file::write(rows, matches!(part, Part::Offset(_))).map_err(Error::internal)?;
        let next = listed.last().filter(|_| more).map(|level| Part::After(level.sku.clone()));
        Ok(Some((Bytes::from(bytes), (app, next))))
    })
}
