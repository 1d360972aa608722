//! The few primitives that features share. All come from aws-lc, the tree's one crypto library.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{Context as DigestContext, SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::fill;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, Result};

/// Random bytes of the system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes).map_err(|_| Error::internal(anyhow::anyhow!("the system's random source failed")))?;
    Ok(bytes)
}

/// A secret for a URL, a cookie or a header: 32 random bytes in 64 hexadecimal digits.
pub fn random_token() -> Result<String> {
    Ok(hex::encode(random_bytes::<32>()?))
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

/// SHA-256 of what comes in pieces.
#[derive(Clone)]
pub struct Sha256(DigestContext);

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self(DigestContext::new(&SHA256))
    }
}

impl Sha256 {
    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

/// Encrypts what the shop must be able to read again, such as the secret of a two-factor sign-in.
///
/// AES-256-GCM with a random nonce: 12 bytes of nonce, the ciphertext, 16 bytes of tag. Each text is bound to the row it
/// belongs to, so that a copy in another row opens nothing.
pub struct Vault {
    current: RandomizedNonceKey,
    previous: Option<RandomizedNonceKey>,
    key_number: i32,
    /// Made of the current key, for what is only compared.
    marks: hmac::Key,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// Bytes of a nonce.
const NONCE: usize = 12;

impl Vault {
    /// Takes the keys of the configuration, each 64 hexadecimal digits. An empty current key is read from `file`, which
    /// is made if it is missing.
    ///
    /// # Errors
    /// When a key is none, or the file cannot be read or made.
    pub fn load(current: &SecretString, previous: &SecretString, file: &Path) -> anyhow::Result<Self> {
        let keys = |text: &str| {
            let bytes = hex::decode(text.trim()).context("the key must be 64 hexadecimal digits")?;
            let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes)
                .map_err(|_| anyhow::anyhow!("the key must be 64 hexadecimal digits"))?;
            // Another key, so that no text that is encrypted helps with a mark.
            let marks = hmac::sign(&hmac::Key::new(HMAC_SHA256, &bytes), b"agape marks");
            Ok::<_, anyhow::Error>((key, number_of(&bytes), hmac::Key::new(HMAC_SHA256, marks.as_ref())))
        };
        let (current, key_number, marks) = match current.expose_secret() {
            "" => {
                if !file.exists() {
                    write_secret(file, &random_token().map_err(anyhow::Error::new)?)?;
                }
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("the encryption key {} cannot be read", file.display()))?;
                keys(&text).with_context(|| format!("{} is damaged", file.display()))?
            }
            text => keys(text)?,
        };
        let previous = Some(previous.expose_secret()).filter(|text| !text.is_empty()).map(keys).transpose()?;
        Ok(Self { current, previous: previous.map(|(key, ..)| key), key_number, marks })
    }

    /// A number, never 0, that tells the current key from others and nothing about it. Stored beside what is sealed, it lets
    /// a query find what another key has sealed.
    pub fn key_number(&self) -> i32 {
        self.key_number
    }

    /// By what something personal is known again without being kept: HMAC-SHA-256 under a key that only the servers have.
    /// `kind` keeps things of different kinds apart. Another `auth.encryption_key` gives other marks.
    pub fn mark(&self, kind: &str, data: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.marks);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(data);
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// Encrypts `text` for the row that `owner` names.
    pub fn seal(&self, owner: &[u8], text: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = text.to_vec();
        let nonce = self
            .current
            .seal_in_place_append_tag(Aad::from(owner), &mut sealed)
            .map_err(|_| Error::internal(anyhow::anyhow!("a secret could not be encrypted")))?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(whole)
    }

    /// Whether it is sealed with the previous key, so that it has to be sealed anew before that key can go.
    pub fn is_outdated(&self, owner: &[u8], sealed: &[u8]) -> bool {
        open_with(&self.current, owner, sealed).is_none()
    }

    /// Decrypts what was sealed for `owner`, with the current or the previous key.
    ///
    /// # Errors
    /// `Internal` when it was sealed with another key, for another owner, or was changed.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        open_with(&self.current, owner, sealed)
            .or_else(|| open_with(self.previous.as_ref()?, owner, sealed))
            .ok_or_else(|| {
                Error::internal(anyhow::anyhow!("a secret cannot be decrypted; was auth.encryption_key changed?"))
            })
    }
}

fn number_of(key: &[u8]) -> i32 {
    let [a, b, c, d, ..] = sha256(&[b"agape vault mark ", key].concat());
    i32::from_be_bytes([a & 0x7f, b, c, d]).max(1)
}

fn open_with(key: &RandomizedNonceKey, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = rest.to_vec();
    let length = key.open_in_place(nonce, Aad::from(owner), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Writes a file that only its owner can read, beside its place first, so that a crash leaves no half of it. A file that was
/// there keeps its owner, who may be another than the one who writes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    if let Ok(old) = std::fs::metadata(path)
        && old.uid() != file.metadata()?.uid()
    {
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.sync_all()?;
    Ok(std::fs::rename(&partial, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(current: &str, previous: &str) -> Vault {
        Vault::load(&current.into(), &previous.into(), Path::new("/nonexistent/key")).unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_owner_only() {
        let vault = vault(&"ab".repeat(32), "");
        let sealed = vault.seal(b"ama", b"secret").unwrap();
        assert_eq!(vault.open(b"ama", &sealed).unwrap(), b"secret");
        assert_ne!(sealed, vault.seal(b"ama", b"secret").unwrap(), "each has its own nonce");
        assert!(vault.open(b"kofi", &sealed).is_err());
        let mut changed = sealed.clone();
        changed[14] ^= 1;
        for wrong in [&changed[..], &sealed[..10], &[]] {
            assert!(vault.open(b"ama", wrong).is_err());
        }
    }

    #[test]
    fn the_previous_key_still_reads() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let sealed = vault(&old, "").seal(b"ama", b"secret").unwrap();
        assert_eq!(vault(&new, &old).open(b"ama", &sealed).unwrap(), b"secret");
        assert!(vault(&new, &old).is_outdated(b"ama", &sealed) && !vault(&old, "").is_outdated(b"ama", &sealed));
        assert!(vault(&new, "").open(b"ama", &sealed).is_err());
        assert_ne!(vault(&new, &old).key_number(), vault(&old, "").key_number());
        assert_eq!(vault(&new, &old).key_number(), vault(&new, "").key_number());
    }

    #[test]
    fn a_mark_depends_on_key_kind_and_data() {
        let first = vault(&"ab".repeat(32), "");
        assert_eq!(first.mark("ip", b"a"), vault(&"ab".repeat(32), &"cd".repeat(32)).mark("ip", b"a"));
        let others = [vault(&"cd".repeat(32), "").mark("ip", b"a"), first.mark("email", b"a"), first.mark("ip", b"b")];
        assert!(others.iter().all(|other| *other != first.mark("ip", b"a")));
    }

    #[test]
    fn each_key_has_a_number_of_its_own() {
        let mut numbers: Vec<_> = (0..64).map(|byte: u8| number_of(&[byte; 32])).collect();
        assert!(numbers.iter().all(|number| *number > 0));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 64);
    }

    #[test]
    fn a_missing_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys/encryption.key");
        let load = || Vault::load(&"".into(), &"".into(), &file).unwrap();
        let sealed = load().seal(b"ama", b"secret").unwrap();
        assert_eq!(load().open(b"ama", &sealed).unwrap(), b"secret");
        std::fs::write(&file, "nonsense").unwrap();
        assert!(Vault::load(&"".into(), &"".into(), &file).is_err());
    }
}
