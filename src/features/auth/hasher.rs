//! Passwords are hashed with argon2id on threads of their own, a few at a time, so that a storm of logins neither
//! blocks other requests nor exhausts the memory. Who would wait too long is told so at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;

use crate::platform::config::Auth;
use crate::platform::error::{Error, Result};

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub struct Hasher {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
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
            0 => (std::thread::available_parallelism().map_or(2, usize::from) / 2).max(1),
            n => n,
        };
        let decoy = decoy(argon2.params());
        let places = Arc::new(Semaphore::new(permits.saturating_add(config.hash_queue)));
        Ok(Self { argon2, permits: Arc::new(Semaphore::new(permits)), places, decoy: decoy.into() })
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

    /// Whether a hash was made with other settings than today's, so that it is worth making anew.
    pub(super) fn is_outdated(&self, hash: &str) -> bool {
        let params = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
        let ours = self.argon2.params();
        params.is_none_or(|theirs| {
            (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) != (ours.m_cost(), ours.t_cost(), ours.p_cost())
        })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Argon2<'_>) -> T + Send + 'static) -> Result<T> {
        let busy = || Error::Unavailable(anyhow::anyhow!("passwords wait too long to be hashed"));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let permit = tokio::time::timeout(Duration::from_secs(10), Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(Error::internal)?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            // Held by the thread, not by the request: a caller who goes away does not make room for another hash.
            drop((permit, place));
            result
        })
        .await
        .map_err(Error::internal)
    }
}

/// A hash that was made from no password. It costs as much to check as a real one, and nothing to make at the start.
fn decoy(params: &Params) -> String {
    let (salt, hash) = (rand::random::<[u8; 16]>(), rand::random::<[u8; Params::DEFAULT_OUTPUT_LEN]>());
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Config;

    fn hasher(change: impl FnOnce(&mut Auth)) -> Hasher {
        let mut config = Config::defaults().unwrap().auth;
        config.hash_memory_kib = 8_192;
        config.hash_passes = 1;
        change(&mut config);
        Hasher::new(&config).unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hasher = hasher(|_| {});
        let hash = hasher.hash("Test@1234").await.unwrap();
        assert!(hasher.verify("Test@1234", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("Test@1235", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("Test@1234", None).await.unwrap());
        // What stands in an erased account.
        assert!(!hasher.verify("!", Some("!")).await.unwrap());
    }

    /// Only a hash of the same shape and the same costs takes as long to check, whether there is an account or not.
    #[tokio::test]
    async fn the_decoy_looks_like_a_hash_of_today() {
        let hasher = hasher(|config| config.hash_passes = 2);
        let real = hasher.hash("Test@1234").await.unwrap();
        assert!(!hasher.is_outdated(&hasher.decoy));
        assert_eq!(hasher.decoy.len(), real.len());
        let parts = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parts(&hasher.decoy), parts(&real));
        assert!(PasswordHash::new(&hasher.decoy).is_ok());
    }

    #[tokio::test]
    async fn hashes_of_other_settings_are_known() {
        let (old, new) = (hasher(|_| {}), hasher(|config| config.hash_passes = 2));
        let hash = old.hash("Test@1234").await.unwrap();
        assert!(!old.is_outdated(&hash) && new.is_outdated(&hash));
        assert!(new.verify("Test@1234", Some(&hash)).await.unwrap(), "the old one still fits");
    }

    /// Of many at once, as many as may run or wait are served, and the others told so at once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_storm_is_turned_away_beyond_the_queue() {
        let hasher = hasher(|config| {
            config.hash_concurrency = 1;
            config.hash_queue = 2;
        });
        let all = futures::future::join_all((0..20).map(|_| hasher.hash("Test@1234"))).await;
        let (served, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!((served.len(), refused.len()), (3, 17));
        assert!(hasher.hash("Test@1234").await.is_ok(), "the places are free again");
    }
}
