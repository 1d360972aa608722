//! Passwords are hashed with argon2id on threads of their own, a few at a time, so that a storm of logins neither
//! blocks other requests nor exhausts the memory.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::platform::config::Auth;
use crate::platform::error::{Error, Result};

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub struct Hasher {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    /// What a password is checked against when the account does not exist, so that the answer takes as long.
    decoy: Arc<str>,
}

impl Hasher {
    /// Takes memory, passes and concurrency from the settings.
    ///
    /// # Errors
    /// When argon2 refuses the settings.
    pub fn new(config: &Auth) -> anyhow::Result<Self> {
        let params = Params::new(config.hash_memory_kib, config.hash_passes, 1, None)
            .map_err(|e| anyhow::anyhow!("auth.hash_memory_kib or hash_passes: {e}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let permits = match config.hash_concurrency {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        };
        let decoy = argon2
            .hash_password(b"no account has this password")
            .map_err(|e| anyhow::anyhow!("argon2: {e}"))?
            .to_string();
        Ok(Self { argon2, permits: Arc::new(Semaphore::new(permits)), decoy: decoy.into() })
    }

    /// Hashes a new password, with a fresh salt.
    ///
    /// # Errors
    /// `Unavailable` when too many hashes are waiting.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.run(move |argon2| argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|e| Error::internal(anyhow::anyhow!("argon2: {e}")))
    }

    /// Whether the password belongs to the hash. Without a hash it takes as long and says no.
    ///
    /// # Errors
    /// `Unavailable` when too many hashes are waiting.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.unwrap_or(&self.decoy).to_owned());
        let matches = self
            .run(move |argon2| {
                PasswordHash::new(&hash).is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Argon2<'_>) -> T + Send + 'static) -> Result<T> {
        let permit = tokio::time::timeout(Duration::from_secs(10), Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| Error::Unavailable(anyhow::anyhow!("passwords wait too long to be hashed")))?
            .map_err(Error::internal)?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            // Held by the thread, not by the request: a caller who goes away does not make room for another hash.
            drop(permit);
            result
        })
        .await
        .map_err(Error::internal)
    }
}
