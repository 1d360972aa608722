//! Counts requests, and says when there were too many.
//!
//! A sliding window counter: the requests of the current minute, and of those of the minute before it the part that
//! still lies in the last 60 seconds. It needs two numbers a key, and whole milliseconds only, so a store that several
//! processes share would come to the same results. The counts live in this process and are gone with it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::config::Limits;
use super::crypto::sha256;
use super::error::Error;

/// The time for which a limit is meant.
pub const WINDOW: Duration = Duration::from_millis(WINDOW_MS);

const WINDOW_MS: u64 = 60_000;

/// Requests of different keys seldom wait for the same lock.
const SHARDS: usize = 16;

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
    /// `reset` in seconds, rounded up and at least 1, so that whoever waits for it does not come too early.
    pub fn reset_seconds(&self) -> u64 {
        (self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)).max(1)
    }

    /// The error for a request that is not allowed.
    pub fn refusal(&self, class: Class) -> Error {
        Error::RateLimited { class, limit: self.limit, retry_after: Duration::from_secs(self.reset_seconds()) }
    }
}

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// When it came last, in milliseconds since 1970. Its minute is the current one.
    seen: u64,
    /// Requests of that minute.
    current: u32,
    /// Requests of the minute before.
    previous: u32,
}

impl Counts {
    fn new(now: u64) -> Self {
        Self { seen: now, current: 0, previous: 0 }
    }

    /// Counts a request if it is allowed.
    fn count(&mut self, limit: u32, now: u64) -> Verdict {
        self.move_to(now);
        let elapsed = self.seen % WINDOW_MS;
        // Rounded down, so that a minute after its last request every client has one free.
        let used = u64::from(self.current) + u64::from(self.previous) * (WINDOW_MS - elapsed) / WINDOW_MS;
        let free = u64::from(limit).saturating_sub(used);
        let allowed = free > 0;
        let reset = if allowed {
            self.current += 1;
            WINDOW_MS - elapsed
        } else {
            self.wait(u64::from(limit), elapsed)
        };
        let remaining = u32::try_from(free.saturating_sub(1)).unwrap_or(limit);
        Verdict { allowed, limit, remaining, reset: Duration::from_millis(reset) }
    }

    fn move_to(&mut self, now: u64) {
        if now + WINDOW_MS < self.seen {
            // The clock was set back by more than a minute; waiting for it would shut people out.
            *self = Self::new(now);
        }
        // Threads that asked for the time in one order may come here in another.
        let now = now.max(self.seen);
        match now / WINDOW_MS - self.seen / WINDOW_MS {
            0 => {}
            1 => (self.previous, self.current) = (self.current, 0),
            _ => (self.previous, self.current) = (0, 0),
        }
        self.seen = now;
    }

    /// Milliseconds until one request is free, when none is.
    fn wait(&self, limit: u64, elapsed: u64) -> u64 {
        // One is free as soon as `counted * rest / WINDOW_MS`, rounded down, is below `room`, `rest` being what is left
        // of the minute. This is the first moment of the minute when that is so.
        let free_at = |counted: u64, room: u64| WINDOW_MS.saturating_sub((room * WINDOW_MS - 1) / counted.max(1));
        let (current, previous) = (u64::from(self.current), u64::from(self.previous));
        if current < limit {
            free_at(previous, limit - current).saturating_sub(elapsed)
        } else {
            WINDOW_MS - elapsed + free_at(current, limit)
        }
    }
}

type Shard = HashMap<(Class, Key), Counts>;

/// Drops what counts no more, and the oldest keys if that is not enough.
fn make_room(shard: &mut Shard, size: usize, now: u64) {
    shard.retain(|_, counts| counts.seen / WINDOW_MS + 1 >= now / WINDOW_MS);
    // An eighth at a time, so that a flood of new keys does not look through the shard for each.
    let keep = size - size.div_ceil(8);
    if shard.len() <= keep {
        return;
    }
    let surplus = shard.len() - keep;
    let mut ages: Vec<_> = shard.iter().map(|(id, counts)| (counts.seen, *id)).collect();
    ages.select_nth_unstable_by_key(surplus - 1, |(seen, _)| *seen);
    for (_, id) in &ages[..surplus] {
        shard.remove(id);
    }
}

/// Counts the requests of this process.
#[derive(Debug)]
pub struct RateLimiter {
    public: u32,
    auth: u32,
    admin: u32,
    shards: Vec<Mutex<Shard>>,
    /// Most keys of one shard.
    shard_size: usize,
}

impl RateLimiter {
    /// A limiter that has counted nothing yet and never knows more than `limits.clients` keys.
    pub fn new(limits: &Limits) -> Self {
        let clients = limits.clients.max(1);
        let shards = SHARDS.min(clients);
        Self {
            public: limits.public_per_minute,
            auth: limits.auth_per_minute,
            admin: limits.admin_per_minute,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            shard_size: clients / shards,
        }
    }

    /// Asks whether a request of `key` at `now` may go on, and counts it if so.
    pub fn check(&self, class: Class, key: &Key, now: DateTime<Utc>) -> Verdict {
        let limit = match class {
            Class::Public => self.public,
            Class::Auth => self.auth,
            Class::Admin => self.admin,
        };
        if limit == 0 {
            return Verdict { allowed: true, limit, remaining: 0, reset: Duration::ZERO };
        }
        let now = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        let shard = &self.shards[usize::from(key.0[0]) % self.shards.len()];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (class, *key);
        if shard.len() >= self.shard_size && !shard.contains_key(&id) {
            make_room(&mut shard, self.shard_size, now);
        }
        shard.entry(id).or_insert_with(|| Counts::new(now)).count(limit, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a minute.
    const MINUTE: i64 = 1_763_000_040_000;

    fn limiter(limit: u32, clients: usize) -> RateLimiter {
        RateLimiter::new(&Limits { public_per_minute: limit, auth_per_minute: limit, admin_per_minute: 0, clients })
    }

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(MINUTE + ms).unwrap()
    }

    fn ip(text: &str) -> Key {
        Key::ip(text.parse().unwrap())
    }

    /// How many of `tries` requests at one moment are allowed.
    fn allowed(limiter: &RateLimiter, key: &Key, ms: i64, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.check(Class::Public, key, at(ms)).allowed).count()
    }

    fn known(limiter: &RateLimiter) -> usize {
        limiter.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn exactly_the_limit_passes_in_a_minute() {
        assert_eq!(MINUTE % 60_000, 0);
        let (limiter, ama) = (limiter(5, 100), Key::account("ama@example.com"));
        for (i, ms) in [0, 10, 20_000, 30_000, 45_000].into_iter().enumerate() {
            let verdict = limiter.check(Class::Public, &ama, at(ms));
            let remaining = u32::try_from(4 - i).unwrap();
            let reset = Duration::from_millis(u64::try_from(60_000 - ms).unwrap());
            assert_eq!(verdict, Verdict { allowed: true, limit: 5, remaining, reset });
        }
        let refused = limiter.check(Class::Public, &ama, at(45_000));
        let reset = Duration::from_millis(15_001);
        assert_eq!(refused, Verdict { allowed: false, limit: 5, remaining: 0, reset });
        assert_eq!(refused.reset_seconds(), 16);
        assert_eq!(allowed(&limiter, &ama, 59_999, 20), 0);
    }

    #[test]
    fn the_window_slides_over_the_border_of_a_minute() {
        let (limiter, ama) = (limiter(10, 100), ip("203.0.113.7"));
        assert_eq!(allowed(&limiter, &ama, 59_000, 20), 10);
        // 9.83 of them still lie in the last minute.
        assert_eq!(allowed(&limiter, &ama, 61_000, 20), 1);
        // Five of them, and the one.
        assert_eq!(allowed(&limiter, &ama, 90_000, 20), 4);
        assert_eq!(allowed(&limiter, &ama, 119_999, 20), 5);
        // After two minutes of silence nothing is left.
        assert_eq!(allowed(&limiter, &ama, 240_000, 20), 10);
    }

    #[test]
    fn a_minute_after_the_last_request_there_is_room() {
        for limit in [1, 2, 5, 100] {
            for ms in [1, 500, 11_000, 59_999] {
                let (limiter, ama) = (limiter(limit, 100), ip("203.0.113.7"));
                assert_eq!(allowed(&limiter, &ama, ms, 200), usize::try_from(limit).unwrap());
                assert!(limiter.check(Class::Public, &ama, at(ms + 60_000)).allowed, "{limit} at {ms}");
            }
        }
    }

    #[test]
    fn the_told_time_is_the_first_that_is_free() {
        for limit in [1, 2, 3, 5, 7, 100] {
            let (limiter, ama) = (limiter(limit, 100), ip("203.0.113.7"));
            let mut ms = 7_919;
            for round in 0..500 {
                let mut verdict = limiter.check(Class::Public, &ama, at(ms));
                while verdict.allowed {
                    verdict = limiter.check(Class::Public, &ama, at(ms));
                }
                let wait = i64::try_from(verdict.reset.as_millis()).unwrap();
                assert!((1..=60_001).contains(&wait), "{limit}, {round}: {wait}");
                assert_eq!(allowed(&limiter, &ama, ms + wait - 1, 1), 0, "{limit}, {round}: {wait}");
                assert_eq!(allowed(&limiter, &ama, ms + wait, 1), 1, "{limit}, {round}: {wait}");
                ms += wait + round * 37;
            }
        }
    }

    #[test]
    fn classes_and_keys_do_not_share() {
        let limiter = limiter(2, 100);
        let (ama, kofi) = (ip("203.0.113.7"), ip("203.0.113.8"));
        assert_eq!(allowed(&limiter, &ama, 0, 5), 2);
        assert_eq!(allowed(&limiter, &kofi, 0, 5), 2);
        assert!(limiter.check(Class::Auth, &ama, at(0)).allowed);
        let unlimited = limiter.check(Class::Admin, &ama, at(0));
        assert_eq!((unlimited.allowed, unlimited.limit), (true, 0));
    }

    #[test]
    fn a_key_is_a_v4_address_a_v6_network_or_an_account() {
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:0:0:1"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:203.0.113.7"), ip("203.0.113.7"));
        assert_ne!(ip("203.0.113.7"), ip("203.0.113.8"));
        assert_eq!(Key::account("Ama@Example.com"), Key::account("ama@example.com"));
        assert_ne!(Key::account("203.0.113.7"), ip("203.0.113.7"));
    }

    #[test]
    fn memory_is_bounded_and_who_is_there_stays_known() {
        for clients in [1, 3, 16, 64, 100] {
            let (limiter, ama) = (limiter(1, clients), Key::account("ama"));
            let mut passed = 0;
            for ms in 0..2_000 {
                passed += allowed(&limiter, &ama, ms, 1);
                allowed(&limiter, &Key::account(&ms.to_string()), ms, 1);
                assert!(known(&limiter) <= clients, "{clients}: {}", known(&limiter));
            }
            assert!(clients < 64 || passed == 1, "{clients}: {passed}");
        }
    }

    #[test]
    fn a_full_shard_drops_first_what_counts_no_more() {
        let limiter = limiter(1, 64);
        for i in 0..1_000 {
            allowed(&limiter, &Key::account(&i.to_string()), 0, 1);
        }
        assert_eq!(known(&limiter), 64);
        // All four of its shard are over.
        assert_eq!(allowed(&limiter, &Key::account("new"), 180_000, 1), 1);
        assert_eq!(known(&limiter), 61);
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let (limiter, ama) = (limiter(3, 100), ip("203.0.113.7"));
        assert_eq!(allowed(&limiter, &ama, 600_000, 5), 3);
        // A little: it goes on counting.
        assert_eq!(allowed(&limiter, &ama, 590_000, 5), 0);
        // An hour: it starts again.
        assert_eq!(allowed(&limiter, &ama, 600_000 - 3_600_000, 5), 3);
    }

    #[test]
    fn parallel_requests_are_counted_exactly() {
        let (limiter, ama) = (limiter(100, 100), ip("203.0.113.7"));
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| allowed(&limiter, &ama, 0, 10))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }
}
