//! Cloudinary: a client that uploads and destroys pictures, signed forms for a
//! browser's own upload, delivery URLs, the signatures of all of them and, with
//! the feature `fake`, a server that stands in for it.
//!
//! Two names count for one picture: its `public_id`, which stays, and its
//! `version`, which each upload raises. A delivery URL carries both, because the
//! network of caches knows a picture by its URL.

mod asset;
mod client;
mod config;
mod delivery;
mod error;
mod public_id;
mod signature;
mod transformation;
mod transport;
mod upload;

#[cfg(feature = "fake")]
pub mod fake;

pub use asset::{Asset, DeliveryType, Destroyed, ImageFormat, RawAsset, ResourceType, UnknownFormat};
pub use client::Client;
pub use config::{ClientConfig, DEFAULT_BASE_URL, DEFAULT_DELIVERY_URL};
pub use delivery::{Delivery, UrlSignature};
pub use error::Error;
pub use public_id::{InvalidPublicId, PublicId};
pub use signature::{
    NOTIFICATION_SIGNATURE_HEADER, NOTIFICATION_TIMESTAMP_HEADER, NOTIFICATION_WINDOW, Params, SignatureAlgorithm,
    notification_signature, sign,
};
pub use transformation::{Bounds, Gravity, Transformation};
pub use upload::{DirectUpload, MAX_FILE, SIGNATURE_LIFETIME, UploadOptions};
