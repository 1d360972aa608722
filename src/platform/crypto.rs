//! The few primitives that features share. All come from aws-lc, the tree's one crypto library.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::fill;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{Error, Result};

/// A secret for a URL, a cookie or a header: 32 random bytes in 64 hexadecimal digits.
pub fn random_token() -> Result<String> {
    let mut bytes = [0; 32];
    fill(&mut bytes).map_err(|_| Error::internal(anyhow::anyhow!("the system's random source failed")))?;
    Ok(hex::encode(bytes))
}

/// A short random text of letters and digits, for a name that must not be guessed, such as a payment's reference.
pub fn random_name(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    fill(&mut buffer).map_err(|_| Error::internal(anyhow::anyhow!("the system's random source failed")))?;
    Ok(URL_SAFE_NO_PAD.encode(buffer).replace(['-', '_'], "x"))
}

/// SHA-256. Random tokens are stored as this, so a copy of the database opens nothing.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, data).as_ref());
    hash
}
