//! Which products sell: counted from the orders, kept on the products.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::features::{catalog, orders};
use crate::platform::error::Result;
use crate::platform::jobs::{Job, JobError};

/// Counts what was sold in the last `lists.popular_days`, for the order `popular`.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountPopularity {}

#[async_trait]
impl Job<App> for CountPopularity {
    const KIND: &'static str = "count_popularity";

    async fn run(self, app: &App) -> Result<(), JobError> {
        count(app).await.map_err(JobError::from)
    }
}

async fn count(app: &App) -> Result<()> {
    let since = app.clock.now() - TimeDelta::days(app.config.lists.popular_days);
    let sold = orders::sold_since(&mut *app.db.acquire().await?, since).await?;
    let changed = catalog::set_popularity(app, &sold).await?;
    tracing::debug!(products = sold.len(), changed, "popularity counted");
    Ok(())
}
