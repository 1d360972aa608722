//! Removing files.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::service;
use crate::app::App;
use crate::platform::error::Error;
use crate::platform::ids::AssetId;
use crate::platform::jobs::{Job, JobError};

/// Files that one step of the clean-up removes.
const STEP: usize = 20;

/// After this, a half-written file belongs to a process that is dead.
const DEAD: Duration = Duration::from_secs(60 * 60);

/// Removes one file that was given up. If its tries are used up, the clean-up goes on.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteMedia {
    /// Its row in `media_loose`.
    pub(super) loose: AssetId,
}

#[async_trait]
impl Job<App> for DeleteMedia {
    const KIND: &'static str = "delete_media";

    async fn run(self, app: &App) -> Result<(), JobError> {
        service::remove_due(app, Some(self.loose), 1).await?;
        Ok(())
    }
}

/// The clean-up: pictures that no product ever showed, and files that a crash or an unconfirmed upload left behind.
#[derive(Debug, Serialize, Deserialize)]
pub struct SweepMedia {}

#[async_trait]
impl Job<App> for SweepMedia {
    const KIND: &'static str = "sweep_media";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let limit = i64::try_from(STEP).map_err(Error::internal)?;
        while service::forget_unused(app, limit).await? >= STEP {}
        app.media.storage.local.sweep(DEAD).await.map_err(Error::from)?;
        while service::remove_due(app, None, limit).await? >= STEP {}
        Ok(())
    }
}
