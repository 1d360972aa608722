//! The algorithm of the limits, in both places where counts are kept: in memory and in Redis. The same tests for both.

use std::time::Duration;

use agape::platform::config::{Config, Limits};
use agape::platform::rate_limit::{Class, Key, RateLimiter, Reserved, Verdict};
use agape::platform::redis::Redis;
use chrono::{DateTime, Utc};

use crate::support::TestRedis;

/// The start of a minute.
const MINUTE: i64 = 1_763_000_040_000;

fn limits(limit: u32) -> Limits {
    Limits { public_per_minute: limit, auth_per_minute: limit, admin_per_minute: 0, clients: 100 }
}

/// Makes limiters that have counted nothing yet, all in one kind of store.
enum Store {
    Memory,
    Redis(TestRedis),
}

impl Store {
    fn both() -> [Self; 2] {
        [Self::Memory, Self::Redis(TestRedis::start())]
    }

    /// `name` keeps the limiters of a test apart.
    async fn limiter(&self, limit: u32, name: &str) -> Counted {
        let redis = match self {
            Self::Memory => None,
            Self::Redis(server) => Some(connect(server, name).await),
        };
        Counted { limiter: RateLimiter::new(&limits(limit), redis.clone()), redis }
    }
}

async fn connect(server: &TestRedis, prefix: &str) -> Redis {
    let mut config = Config::defaults().unwrap().redis;
    config.url = server.url().into();
    config.prefix = prefix.to_owned();
    // Nothing here is about time limits, and the machine may be busy.
    config.timeout_ms = 5_000;
    Redis::connect(&config).await.unwrap().unwrap()
}

struct Counted {
    limiter: RateLimiter,
    redis: Option<Redis>,
}

impl Counted {
    async fn check(&self, class: Class, key: &Key, ms: i64) -> Verdict {
        let verdict = self.limiter.check(class, key, at(ms)).await;
        // Else the memory behind it would have answered.
        assert!(self.redis.as_ref().is_none_or(Redis::is_up));
        verdict
    }

    /// A request that is counted, to be given back.
    async fn reserve(&self, key: &Key, ms: i64) -> Reserved {
        let (verdict, reserved) = self.limiter.reserve(Class::Public, key, at(ms)).await;
        assert!(verdict.allowed && self.redis.as_ref().is_none_or(Redis::is_up));
        reserved.unwrap()
    }

    /// How many of `tries` requests at one moment are allowed.
    async fn allowed(&self, key: &Key, ms: i64, tries: usize) -> usize {
        let mut allowed = 0;
        for _ in 0..tries {
            allowed += usize::from(self.check(Class::Public, key, ms).await.allowed);
        }
        allowed
    }
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(MINUTE + ms).unwrap()
}

fn ip(text: &str) -> Key {
    Key::ip(text.parse().unwrap())
}

#[tokio::test]
async fn exactly_the_limit_passes_in_a_minute() {
    assert_eq!(MINUTE % 60_000, 0);
    for store in Store::both() {
        let (limiter, ama) = (store.limiter(5, "a").await, Key::account("ama@example.com"));
        for (i, ms) in [0, 10, 20_000, 30_000, 45_000].into_iter().enumerate() {
            let verdict = limiter.check(Class::Public, &ama, ms).await;
            let remaining = u32::try_from(4 - i).unwrap();
            let reset = Duration::from_millis(u64::try_from(60_000 - ms).unwrap());
            assert_eq!(verdict, Verdict { allowed: true, limit: 5, remaining, reset });
        }
        let refused = limiter.check(Class::Public, &ama, 45_000).await;
        let reset = Duration::from_millis(15_001);
        assert_eq!(refused, Verdict { allowed: false, limit: 5, remaining: 0, reset });
        assert_eq!(refused.reset_seconds(), 16);
        assert_eq!(limiter.allowed(&ama, 59_999, 20).await, 0);
    }
}

#[tokio::test]
async fn the_window_slides_over_the_border_of_a_minute() {
    for store in Store::both() {
        let (limiter, ama) = (store.limiter(10, "a").await, ip("203.0.113.7"));
        assert_eq!(limiter.allowed(&ama, 59_000, 20).await, 10);
        // 9.83 of them still lie in the last minute.
        assert_eq!(limiter.allowed(&ama, 61_000, 20).await, 1);
        // Five of them, and the one.
        assert_eq!(limiter.allowed(&ama, 90_000, 20).await, 4);
        assert_eq!(limiter.allowed(&ama, 119_999, 20).await, 5);
        // After two minutes of silence nothing is left.
        assert_eq!(limiter.allowed(&ama, 240_000, 20).await, 10);
    }
}

#[tokio::test]
async fn a_minute_after_the_last_request_there_is_room() {
    for store in Store::both() {
        for limit in [1, 2, 5, 100] {
            for ms in [1, 500, 11_000, 59_999] {
                let limiter = store.limiter(limit, &format!("{limit}-{ms}")).await;
                let ama = ip("203.0.113.7");
                assert_eq!(limiter.allowed(&ama, ms, 200).await, usize::try_from(limit).unwrap());
                assert!(limiter.check(Class::Public, &ama, ms + 60_000).await.allowed, "{limit} at {ms}");
            }
        }
    }
}

#[tokio::test]
async fn the_told_time_is_the_first_that_is_free() {
    for store in Store::both() {
        for limit in [1, 2, 3, 5, 7, 100] {
            let (limiter, ama) = (store.limiter(limit, &limit.to_string()).await, ip("203.0.113.7"));
            let mut ms = 7_919;
            for round in 0..100 {
                let mut verdict = limiter.check(Class::Public, &ama, ms).await;
                while verdict.allowed {
                    verdict = limiter.check(Class::Public, &ama, ms).await;
                }
                let wait = i64::try_from(verdict.reset.as_millis()).unwrap();
                assert!((1..=60_001).contains(&wait), "{limit}, {round}: {wait}");
                assert_eq!(limiter.allowed(&ama, ms + wait - 1, 1).await, 0, "{limit}, {round}: {wait}");
                assert_eq!(limiter.allowed(&ama, ms + wait, 1).await, 1, "{limit}, {round}: {wait}");
                ms += wait + round * 37;
            }
        }
    }
}

/// Whatever comes, both stores say the same.
#[tokio::test]
async fn memory_and_redis_come_to_the_same_results() {
    let redis = Store::Redis(TestRedis::start());
    for limit in [1, 3, 10, 1_000_000] {
        let (memory, redis) = (Store::Memory.limiter(limit, "").await, redis.limiter(limit, &limit.to_string()).await);
        let (mut ms, mut step) = (0_i64, 1_i64);
        for _ in 0..1_000 {
            // Steps of all sizes, now and then backwards, always the same.
            step = (step * 48_271) % 2_147_483_647;
            ms += match step % 10 {
                0 => -(step % 70_000),
                1 | 2 => step % 130_000,
                _ => step % 9_000,
            };
            let verdict = memory.check(Class::Public, &ip("203.0.113.7"), ms).await;
            assert_eq!(redis.check(Class::Public, &ip("203.0.113.7"), ms).await, verdict, "{limit} at {ms}");
        }
    }
}

#[tokio::test]
async fn classes_and_keys_do_not_share() {
    for store in Store::both() {
        let (limiter, ama, kofi) = (store.limiter(2, "a").await, ip("203.0.113.7"), ip("203.0.113.8"));
        assert_eq!(limiter.allowed(&ama, 0, 5).await, 2);
        assert_eq!(limiter.allowed(&kofi, 0, 5).await, 2);
        assert!(limiter.check(Class::Auth, &ama, 0).await.allowed);
        let unlimited = limiter.check(Class::Admin, &ama, 0).await;
        assert_eq!((unlimited.allowed, unlimited.limit), (true, 0));
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_shuts_nobody_out() {
    for store in Store::both() {
        let (limiter, ama) = (store.limiter(3, "a").await, ip("203.0.113.7"));
        assert_eq!(limiter.allowed(&ama, 600_000, 5).await, 3);
        // A little: it goes on counting.
        assert_eq!(limiter.allowed(&ama, 590_000, 5).await, 0);
        // An hour: it starts again.
        assert_eq!(limiter.allowed(&ama, 600_000 - 3_600_000, 5).await, 3);
    }
}

/// What is given back was never there, in its minute and in the next one, though the clock that counted it was behind.
#[tokio::test]
async fn what_is_given_back_is_free_again() {
    for store in Store::both() {
        let (limiter, ama) = (store.limiter(2, "a").await, ip("203.0.113.7"));
        // Another server is in the next minute by now, and so it counts there.
        assert_eq!(limiter.allowed(&ama, 60_000, 1).await, 1);
        let late = limiter.reserve(&ama, 59_999).await;
        assert_eq!(limiter.allowed(&ama, 60_000, 1).await, 0);
        limiter.limiter.give_back(late).await;
        let last = limiter.reserve(&ama, 60_001).await;
        assert_eq!(limiter.allowed(&ama, 60_002, 1).await, 0);
        // Given back in the next minute: of the one before, one is left.
        assert_eq!(limiter.allowed(&ama, 120_000, 1).await, 0);
        limiter.limiter.give_back(last).await;
        assert_eq!(limiter.allowed(&ama, 120_000, 2).await, 1);
    }
}

#[tokio::test]
async fn parallel_requests_are_counted_exactly() {
    for store in Store::both() {
        let (limiter, ama) = (store.limiter(100, "a").await, ip("203.0.113.7"));
        let all = futures::future::join_all((0..50).map(|_| limiter.allowed(&ama, 0, 10))).await;
        assert_eq!(all.into_iter().sum::<usize>(), 100);
    }
}

/// Nobody's address stays in Redis, and no count for longer than it counts.
#[tokio::test]
async fn counts_in_redis_name_nobody_and_go_by_themselves() {
    let server = TestRedis::start();
    let limiter = RateLimiter::new(&limits(5), Some(connect(&server, "shop").await));
    limiter.check(Class::Auth, &Key::account("ama@example.com"), at(0)).await;
    let keys: Vec<String> = server.ask(redis::cmd("KEYS").arg("shop:limit:*"));
    let [key] = &keys[..] else { panic!("{keys:?}") };
    assert!(key.starts_with("shop:limit:auth:") && !key.contains("ama"), "{key}");
    let age: i64 = server.ask(redis::cmd("PTTL").arg(key));
    assert!((1..=120_000).contains(&age), "{age}");
}
