//! Counts requests, and says when there were too many.
//!
//! A sliding window counter: the requests of the current minute, and of those of the minute before it the part that
//! still lies in the last 60 seconds. It needs two numbers a key, and whole milliseconds only, so it comes to the same results
//! in both places where it is kept: in the memory of this process, and in Redis, which the processes of a shop share. Without
//! Redis, and while it is gone, each process counts for itself.

mod memory;
mod shared;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::config::Limits;
use super::crypto::sha256;
use super::error::Error;
use super::redis::Redis;
use memory::Memory;
use shared::Shared;

/// The time for which a limit is meant.
pub const WINDOW: Duration = Duration::from_millis(WINDOW_MS);

const WINDOW_MS: u64 = 60_000;

/// Different keys seldom wait for the same turn.
const TURNS: usize = 1024;

/// Which limit is meant. Each counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What everybody may ask.
    Public,
    /// Where passwords and codes are tried.
    Auth,
    /// What staff ask.
    Admin,
}

impl Class {
    /// The name, as it is told to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Auth => "auth",
            Self::Admin => "admin",
        }
    }
}

/// Who is counted. It is a part of a SHA-256, so that all keys have one size and no e-mail address stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// An address. One of IPv6 counts with its whole /64, because no subscriber gets less (RFC 6177).
    pub fn ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of("ipv4", &ip.octets()),
            IpAddr::V6(ip) => Self::of("ipv6", &ip.octets()[..8]),
        }
    }

    /// An account, by its e-mail address or its id. Upper and lower case are the same.
    pub fn account(name: &str) -> Self {
        Self::of("account", name.to_lowercase().as_bytes())
    }

    /// An address, where it tries the codes of coupons.
    pub fn codes(ip: IpAddr) -> Self {
        Self::of("codes", &Self::ip(ip).0)
    }

    fn of(kind: &str, name: &[u8]) -> Self {
        let mut text = kind.as_bytes().to_vec();
        text.push(b':');
        text.extend_from_slice(name);
        let mut key = [0; 16];
        key.copy_from_slice(&sha256(&text)[..16]);
        Self(key)
    }
}

/// What the limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may go on. Only then it has been counted.
    pub allowed: bool,
    /// Requests a minute; 0: there is no limit.
    pub limit: u32,
    /// How many more may come now.
    pub remaining: u32,
    /// Until the next request is free, if this one is refused; else until the current minute is over.
    pub reset: Duration,
}

impl Verdict {
    /// What follows from the requests that are free now, and a time in milliseconds.
    fn new(limit: u32, free: u64, reset: u64) -> Self {
        let remaining = u32::try_from(free.saturating_sub(1)).unwrap_or(limit);
        Self { allowed: free > 0, limit, remaining, reset: Duration::from_millis(reset) }
    }

    /// `reset` in seconds, rounded up and at least 1, so that whoever waits for it does not come too early.
    pub fn reset_seconds(&self) -> u64 {
        (self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)).max(1)
    }

    /// The error for a request that is not allowed.
    pub fn refusal(&self, class: Class) -> Error {
        Error::RateLimited { class, limit: self.limit, retry_after: Duration::from_secs(self.reset_seconds()) }
    }
}

/// A request that was counted, and may be taken back.
#[derive(Debug)]
pub struct Reserved {
    class: Class,
    key: Key,
    /// The time at which it counts, in milliseconds since 1970. Its clock may have been behind.
    counted: u64,
    /// Whether it was counted in Redis.
    is_shared: bool,
}

/// Counts requests.
#[derive(Debug)]
pub struct RateLimiter {
    public: u32,
    auth: u32,
    admin: u32,
    memory: Memory,
    shared: Option<Shared>,
    turns: Vec<Arc<Mutex<()>>>,
}

impl RateLimiter {
    /// A limiter that counts in Redis where there is one, and else in memory, where it never knows more than
    /// `limits.clients` keys.
    pub fn new(limits: &Limits, redis: Option<Redis>) -> Self {
        Self {
            public: limits.public_per_minute,
            auth: limits.auth_per_minute,
            admin: limits.admin_per_minute,
            memory: Memory::new(limits.clients),
            shared: redis.map(Shared::new),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
        }
    }

    /// Requests a minute; 0: there is no limit.
    pub fn limit(&self, class: Class) -> u32 {
        match class {
            Class::Public => self.public,
            Class::Auth => self.auth,
            Class::Admin => self.admin,
        }
    }

    /// Asks whether a request of `key` at `now` may go on, and counts it if so.
    pub async fn check(&self, class: Class, key: &Key, now: DateTime<Utc>) -> Verdict {
        self.reserve(class, key, now).await.0
    }

    /// As [`Self::check`], of a request that may be taken back: with what is to be given to [`Self::give_back`], if it was counted.
    pub async fn reserve(&self, class: Class, key: &Key, now: DateTime<Utc>) -> (Verdict, Option<Reserved>) {
        let limit = self.limit(class);
        if limit == 0 {
            return (Verdict { allowed: true, limit, remaining: 0, reset: Duration::ZERO }, None);
        }
        let now = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let shared = match &self.shared {
            Some(shared) => Box::pin(shared.count(class, key, limit, now)).await.ok(),
            None => None,
        };
        let is_shared = shared.is_some();
        let (verdict, counted) = shared.unwrap_or_else(|| self.memory.count(class, key, limit, now));
        (verdict, verdict.allowed.then_some(Reserved { class, key: *key, counted, is_shared }))
    }

    /// Takes a request back, as if it had not come, where it was counted. If that is Redis and it is gone, the request stays counted.
    pub async fn give_back(&self, reserved: Reserved) {
        let Reserved { class, key, counted, is_shared } = reserved;
        match &self.shared {
            Some(shared) if is_shared => {
                let _ = Box::pin(shared.give_back(class, &key, counted)).await;
            }
            _ => self.memory.give_back(class, &key, counted),
        }
    }

    /// Waits until nobody else of `key` has a turn in this process. Whoever takes requests back has one meanwhile, so that those who come
    /// at once are not in each other's way.
    pub async fn turn(&self, key: &Key) -> OwnedMutexGuard<()> {
        let place = usize::from(u16::from_le_bytes([key.0[0], key.0[1]])) % TURNS;
        Arc::clone(&self.turns[place]).lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_v4_address_a_v6_network_or_an_account() {
        let ip = |text: &str| Key::ip(text.parse().unwrap());
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:0:0:1"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:203.0.113.7"), ip("203.0.113.7"));
        assert_ne!(ip("203.0.113.7"), ip("203.0.113.8"));
        assert_eq!(Key::account("Ama@Example.com"), Key::account("ama@example.com"));
        assert_ne!(Key::account("203.0.113.7"), ip("203.0.113.7"));
    }
}
