//! Fetches the pictures that an import named, keeps them, and shows them from there.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::features::audit;
use crate::features::auth::Identity;
use crate::features::catalog::{self, WaitingImage};
use crate::features::media;
use crate::platform::error::{Error, Result};
use crate::platform::fetch::{FetchError, Fetcher};
use crate::platform::http::RequestMeta;
use crate::platform::ids::{ImageId, ProductId};
use crate::platform::jobs::{self, Job, JobError};

/// Pictures that are fetched at the same time.
const AT_ONCE: usize = 4;

/// Pictures that one job takes, so that it ends in its time; when there are more it leaves them to the next.
const BATCH: i64 = 4;

/// Tries after which a picture is given up.
const TRIES: i32 = 4;

/// Minutes after which somebody else may try a picture that was taken.
const CLAIM_MINUTES: i64 = 5;

/// Fetches some pictures. It runs after an import, and each minute for those that are to be tried again.
#[derive(Debug, Serialize, Deserialize)]
pub struct FetchImages {}

#[async_trait]
impl Job<App> for FetchImages {
    const KIND: &'static str = "fetch_images";

    async fn run(self, app: &App) -> Result<(), JobError> {
        if fetch_images(app).await? {
            let mut tx = app.db.begin().await?;
            // This one counts as waiting too, so one chain is left of several.
            if jobs::waiting::<App, _>(&mut tx, &self).await? <= 1 {
                jobs::enqueue(&mut tx, &self, app.config.jobs.max_attempts).await?;
            }
            tx.commit().await?;
            app.waker.wake();
        }
        Ok(())
    }
}

/// Fetches the pictures whose turn it is, some of them. What cannot be had is noted with the picture. Gives whether there may
/// be more.
///
/// # Errors
/// When the database does not answer.
async fn fetch_images(app: &App) -> Result<bool> {
    let now = app.clock.now();
    let until = now + TimeDelta::minutes(CLAIM_MINUTES);
    let images = catalog::claim_waiting_images(&mut *app.db.acquire().await?, now, until, BATCH).await?;
    let config = &app.config.imports;
    let fetcher = Fetcher {
        private_networks: config.private_networks.clone(),
        max_bytes: app.config.media.max_bytes,
        timeout: Duration::from_secs(config.image_seconds),
    };
    let fetcher = &fetcher;
    let taken = images.len();
    let results: Vec<Result<()>> = futures::stream::iter(images)
        .map(|image| async move { note(app, &image, fetch(app, fetcher, &image).await).await })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(i64::try_from(taken).is_ok_and(|count| count == BATCH))
}

/// Fetches a picture and keeps it. Gives its address.
async fn fetch(app: &App, fetcher: &Fetcher, image: &WaitingImage) -> Result<String, FetchError> {
    let bytes = fetcher.fetch(&image.source_url).await?;
    match media::store_image(app, Bytes::from(bytes), None, app.clock.now()).await {
        Ok(stored) => Ok(stored.url),
        Err(Error::Validation(faults)) => {
            Err(FetchError::Refused(faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ")))
        }
        Err(error @ Error::PayloadTooLarge { .. }) => Err(FetchError::Refused(error.to_string())),
        Err(error) => {
            tracing::warn!(image = %image.id, error = %error, "a fetched picture could not be kept");
            Err(FetchError::Failed("it could not be kept".into()))
        }
    }
}

/// Stores what became of a picture.
async fn note(app: &App, image: &WaitingImage, outcome: Result<String, FetchError>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    match outcome {
        Ok(url) => {
            catalog::image_kept(&mut tx, image, &url).await?;
        }
        Err(FetchError::Refused(why)) => catalog::image_not_kept(&mut tx, image, &why, None, false).await?,
        Err(FetchError::Forbidden(why)) => catalog::image_not_kept(&mut tx, image, &why, None, true).await?,
        Err(FetchError::Failed(why)) => {
            let wait = TimeDelta::minutes(1_i64 << image.tries.clamp(0, 10));
            let again = (image.tries + 1 < TRIES).then(|| app.clock.now() + wait);
            catalog::image_not_kept(&mut tx, image, &why, again, false).await?;
        }
    }
    tx.commit().await?;
    app.product_cache.forget(&[image.product_id]).await;
    Ok(())
}

/// Has pictures that could not be had tried again: one of a product, or all of them.
///
/// # Errors
/// `NotFound` where there is no such product; `Conflict` where nothing of it has failed.
pub async fn retry(
    app: &App,
    actor: &Identity,
    meta: &RequestMeta,
    product: ProductId,
    only: Option<ImageId>,
) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let retried = catalog::retry_failed_images(&mut tx, product, only).await?;
    if retried.is_empty() {
        let known = catalog::has_image(&mut tx, product, only).await?;
        return Err(if known {
            Error::conflict("Nothing of this has failed, so there is nothing to try again.")
        } else {
            Error::NotFound(if only.is_some() { "The picture" } else { "The product" })
        });
    }
    jobs::enqueue(&mut tx, &FetchImages {}, app.config.jobs.max_attempts).await?;
    let entry = audit::Entry {
        actor: Some(actor),
        action: "product.fetch_images",
        entity: "product",
        entity_id: Some(product.to_string()),
        before: None,
        after: Some(json!({ "images": retried })),
    };
    audit::record(&mut tx, entry, meta, app.clock.now()).await?;
    tx.commit().await?;
    app.waker.wake();
    Ok(())
}
