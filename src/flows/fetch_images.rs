//! Fetches the pictures that an import named, and shows them from where they are kept.

use chrono::TimeDelta;
use futures::StreamExt;
use image::ImageFormat;

use crate::app::App;
use crate::features::catalog::{self, WaitingImage};
use crate::platform::error::Result;
use crate::platform::fetch::{FetchError, Fetcher};
use std::time::Duration;

/// Pictures that are fetched at the same time.
const AT_ONCE: usize = 4;

/// Pictures of one call.
const BATCH: i64 = 16;

/// Tries after which a picture is given up.
const TRIES: i32 = 4;

/// A picture that was fetched.
#[derive(Debug)]
pub struct FetchedImage {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is, by its content.
    pub format: ImageFormat,
}

/// Fetches the pictures whose turn it is, some of them. `keep` takes each to where it stays and gives its new address;
/// what it refuses is noted with the picture. Gives how many were tried.
///
/// # Errors
/// When the database does not answer.
pub async fn fetch_images<K>(app: &App, keep: K) -> Result<usize>
where
    K: AsyncFn(&App, &WaitingImage, FetchedImage) -> Result<String, FetchError>,
{
    let images = catalog::waiting_images(&mut *app.db.acquire().await?, app.clock.now(), BATCH).await?;
    let config = &app.config.imports;
    let fetcher = Fetcher {
        private_networks: config.private_networks.clone(),
        max_bytes: config.image_max_bytes,
        timeout: Duration::from_secs(config.image_seconds),
    };
    let (fetcher, keep) = (&fetcher, &keep);
    let results: Vec<Result<()>> = futures::stream::iter(&images)
        .map(|image| async move {
            let outcome = match fetch(fetcher, image).await {
                Ok(fetched) => keep(app, image, fetched).await,
                Err(error) => Err(error),
            };
            note(app, image, outcome).await
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(images.len())
}

async fn fetch(fetcher: &Fetcher, image: &WaitingImage) -> Result<FetchedImage, FetchError> {
    let bytes = fetcher.fetch(&image.source_url).await?;
    // What the server calls it does not count.
    let format = image::guess_format(&bytes)
        .ok()
        .filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif));
    let format = format.ok_or_else(|| FetchError::Refused("it is not a JPEG, PNG, WebP or GIF picture".into()))?;
    Ok(FetchedImage { bytes, format })
}

/// Stores what became of a picture.
async fn note(app: &App, image: &WaitingImage, outcome: Result<String, FetchError>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    match outcome {
        Ok(url) => {
            catalog::image_kept(&mut tx, image, &url).await?;
        }
        Err(FetchError::Refused(why)) => catalog::image_not_kept(&mut tx, image, &why, None).await?,
        Err(FetchError::Failed(why)) => {
            let wait = TimeDelta::minutes(1_i64 << image.tries.clamp(0, 10));
            let again = (image.tries + 1 < TRIES).then(|| app.clock.now() + wait);
            catalog::image_not_kept(&mut tx, image, &why, again).await?;
        }
    }
    tx.commit().await?;
    app.product_cache.forget(&[image.product_id]).await;
    Ok(())
}
