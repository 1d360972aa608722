//! Addresses that only this shop can make: of pictures in another size, and of one upload.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::model::{FileName, Size};
use crate::platform::crypto::{random_token, write_secret};
use crate::platform::ids::AssetId;

/// Bytes of a signature. 128 bits cannot be guessed, and addresses stay short.
const LENGTH: usize = 16;

/// HMAC-SHA-256, cut to 16 bytes. What is signed begins with what it is for, so that no signature serves two ends.
pub(super) struct Signer(Key);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// What the address of an upload allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub upload: AssetId,
    /// Unix seconds.
    pub expires_at: i64,
    /// Bytes, exactly.
    pub bytes: u64,
}

impl Signer {
    /// Takes the key of the configuration, 64 hexadecimal digits. An empty one is read from `file`, which is made if it
    /// is missing.
    ///
    /// # Errors
    /// When the key is none, or the file cannot be read or made.
    pub(super) fn load(key: &SecretString, file: &Path) -> anyhow::Result<Self> {
        let text = match key.expose_secret() {
            "" => {
                if !file.exists() {
                    write_secret(file, &random_token().map_err(anyhow::Error::new)?)?;
                }
                std::fs::read_to_string(file)
                    .with_context(|| format!("the media key {} cannot be read", file.display()))?
            }
            text => text.to_owned(),
        };
        let bytes = hex::decode(text.trim()).ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.context("the media key must be 64 hexadecimal digits (media.signing_key)")?;
        Ok(Self(Key::new(HMAC_SHA256, &bytes)))
    }

    fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(&sign(&self.0, text.as_bytes()).as_ref()[..LENGTH])
    }

    fn is_signed(&self, text: &str, signature: &str) -> bool {
        let Ok(theirs) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        verify_slices_are_equal(&sign(&self.0, text.as_bytes()).as_ref()[..LENGTH], &theirs).is_ok()
    }

    /// The path of a picture in another size.
    pub(super) fn path(&self, size: Size, file: FileName) -> String {
        let signature = self.sign(&format!("size/{size}/{file}"));
        format!("/media/t/{signature}/{size}/{file}.webp")
    }

    /// Whether this shop made the path.
    pub(super) fn allows(&self, signature: &str, size: Size, file: FileName) -> bool {
        self.is_signed(&format!("size/{size}/{file}"), signature)
    }

    /// The path to which one file may be sent.
    pub(super) fn ticket_path(&self, ticket: Ticket) -> String {
        let text = format!("{}.{}.{}", ticket.upload, ticket.expires_at, ticket.bytes);
        let signature = self.sign(&format!("upload/{text}"));
        format!("/media/uploads/{text}.{signature}")
    }

    /// What the last part of such a path allows now.
    pub(super) fn read_ticket(&self, token: &str, now: DateTime<Utc>) -> Option<Ticket> {
        let (text, signature) = token.rsplit_once('.')?;
        if !self.is_signed(&format!("upload/{text}"), signature) {
            return None;
        }
        let mut parts = text.split('.');
        let ticket = Ticket {
            upload: parts.next()?.parse().ok()?,
            expires_at: parts.next()?.parse().ok()?,
            bytes: parts.next()?.parse().ok()?,
        };
        (now.timestamp() < ticket.expires_at).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Format;
    use super::*;

    fn signer(key: &str) -> Signer {
        Signer::load(&key.repeat(32).into(), Path::new("/nonexistent/key")).unwrap()
    }

    #[test]
    fn a_size_is_signed_for_one_file() {
        let (signer, file) = (signer("ab"), FileName::new(Format::Jpeg));
        let path = signer.path(Size::CARD, file);
        let signature = path.split('/').nth(3).unwrap();
        assert_eq!(path, format!("/media/t/{signature}/fill-400x500/{file}.webp"));
        assert!(signer.allows(signature, Size::CARD, file));
        assert!(!signer.allows(signature, Size::ZOOM, file));
        assert!(!signer.allows(signature, Size::CARD, FileName::new(Format::Jpeg)));
        assert!(!super::Signer::load(&"cd".repeat(32).into(), Path::new("/")).unwrap().allows(
            signature,
            Size::CARD,
            file
        ));
        for wrong in ["", "A", &signature[..20], &format!("{signature}A"), "////", &"A".repeat(22)] {
            assert!(!signer.allows(wrong, Size::CARD, file), "{wrong}");
        }
    }

    #[test]
    fn a_ticket_ends_and_cannot_be_changed() {
        let signer = signer("ab");
        let ticket = Ticket { upload: AssetId::new(), expires_at: 1_000, bytes: 5 };
        let path = signer.ticket_path(ticket);
        let token = path.strip_prefix("/media/uploads/").unwrap();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert_eq!(signer.read_ticket(token, at(999)), Some(ticket));
        assert_eq!(signer.read_ticket(token, at(1_000)), None);
        assert_eq!(signer.read_ticket(&token.replace(".1000.5.", ".9000.5."), at(999)), None);
        assert_eq!(signer.read_ticket(&token.replace(".1000.5.", ".1000.50."), at(999)), None);
        assert_eq!(signer.read_ticket("", at(0)), None);
    }
}
