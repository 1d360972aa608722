//! A cache that all processes of a shop share, in Redis.
//!
//! Whoever finds nothing gets a token, which he shows when he brings what he has read. A change deletes entry and token
//! together, so what was read before the change is not taken, whatever order things arrive in, and whatever Redis itself has
//! forgotten meanwhile. Entries and tokens count in their era only: whoever doubts what Redis has begins another one.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Script;
use uuid::Uuid;

use crate::platform::redis::Redis;
use crate::platform::signals::Hearing;

/// How long a token is good: longer than a read takes.
const TOKEN_AGE: Duration = Duration::from_secs(5);

/// Keys of one command.
const CHUNK: usize = 500;

/// KEYS: entry, token, era. ARGV: a new era, the rest of a new token, its age in ms. An era has 32 letters, which entries and
/// tokens begin with. Gives the entry and its rest in ms, or the token.
static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local era = redis.call('GET', KEYS[3])
         if not era then
           era = ARGV[1]
           redis.call('SET', KEYS[3], era)
         end
         local entry = redis.call('GET', KEYS[1])
         if entry and string.sub(entry, 1, 32) == era then
           return {string.sub(entry, 33), redis.call('PTTL', KEYS[1])}
         end
         local token = redis.call('GET', KEYS[2])
         if not token or string.sub(token, 1, 32) ~= era then
           token = era .. ARGV[2]
           redis.call('SET', KEYS[2], token, 'PX', ARGV[3])
         end
         return {token, -1}",
    )
});

/// KEYS: entry, token, era. ARGV: the token, the entry, its age in ms. Gives whether it was taken.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local era = string.sub(ARGV[1], 1, 32)
         if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('GET', KEYS[3]) ~= era then return 0 end
         redis.call('SET', KEYS[1], era .. ARGV[2], 'PX', ARGV[3])
         return 1",
    )
});

/// What allows to bring an entry.
#[derive(Clone, Debug)]
pub struct Token(Vec<u8>);

/// What a look into the cache gives.
#[derive(Clone, Debug)]
pub enum Found {
    /// An entry, and how long it may still be used.
    Entry(Vec<u8>, Duration),
    /// None. Read the truth and bring it.
    Nothing(Token),
    /// There is no cache now.
    Off,
}

/// How often Redis may have missed a change, and how many of these have been mended by a new era.
#[derive(Debug, Default)]
struct Doubts {
    raised: AtomicU64,
    settled: AtomicU64,
}

/// Entries of one kind.
#[derive(Clone, Debug)]
pub struct SharedCache {
    redis: Option<Redis>,
    kind: &'static str,
    age: Duration,
    hearing: Hearing,
    doubts: Arc<Doubts>,
}

impl SharedCache {
    /// Entries that live as long as `age`, at most. Without Redis, or with an age of 0, it is off; so it is while this process
    /// does not hear what others change.
    pub fn new(redis: Option<Redis>, kind: &'static str, age: Duration, hearing: Hearing) -> Self {
        Self { redis: redis.filter(|_| !age.is_zero()), kind, age, hearing, doubts: Arc::default() }
    }

    /// Whether there may be entries at all.
    pub fn is_used(&self) -> bool {
        self.redis.is_some()
    }

    fn keys(&self, redis: &Redis, id: Uuid) -> (String, String) {
        let id = id.simple();
        (redis.key(self.kind, &id.to_string()), redis.key(self.kind, &format!("{id}:token")))
    }

    fn era(&self, redis: &Redis) -> String {
        redis.key(self.kind, "era")
    }

    /// Looks for an entry.
    pub async fn get(&self, id: Uuid) -> Found {
        let Some(redis) = self.redis.as_ref().filter(|_| self.hearing.is_good()) else { return Found::Off };
        if !self.settle(redis).await {
            return Found::Off;
        }
        let (entry, token) = self.keys(redis, id);
        let mut get = GET.key(entry);
        get.key(token).key(self.era(redis)).arg(random()).arg(random()).arg(millis(TOKEN_AGE));
        match redis.script::<(Vec<u8>, i64)>(&get).await {
            // A doubt that came while the answer was on its way.
            Ok(_) if self.is_doubted() => Found::Off,
            Ok((token, -1)) => Found::Nothing(Token(token)),
            Ok((entry, rest)) => Found::Entry(entry, Duration::from_millis(rest.unsigned_abs()).min(self.age)),
            Err(_) => Found::Off,
        }
    }

    /// Brings an entry that was read after the token was given. Gives whether it was taken.
    pub async fn put(&self, id: Uuid, token: &Token, entry: &[u8]) -> bool {
        let Some(redis) = &self.redis else { return false };
        let (key, token_key) = self.keys(redis, id);
        let mut put = PUT.key(key);
        put.key(token_key).key(self.era(redis)).arg(&token.0).arg(entry).arg(millis(self.age));
        redis.script::<i64>(&put).await == Ok(1)
    }

    /// Forgets these. Call it after the commit and before the answer. Gives whether Redis knows: if not, every process has to
    /// be told to try the same, and this one uses nothing of before.
    #[must_use]
    pub async fn forget(&self, ids: &[Uuid]) -> bool {
        let Some(redis) = &self.redis else { return false };
        for chunk in ids.chunks(CHUNK) {
            let mut delete = redis::cmd("DEL");
            for id in chunk {
                let (entry, token) = self.keys(redis, *id);
                delete.arg(entry).arg(token);
            }
            if redis.command::<i64>(&delete).await.is_err() {
                self.doubt();
                return false;
            }
        }
        true
    }

    /// Forgets everything. As [`Self::forget`].
    #[must_use]
    pub async fn forget_all(&self) -> bool {
        let Some(redis) = &self.redis else { return false };
        self.doubt();
        self.settle(redis).await
    }

    /// Uses nothing of what Redis has now: before the next look there is a new era.
    pub fn doubt(&self) {
        self.doubts.raised.fetch_add(1, Ordering::AcqRel);
    }

    fn is_doubted(&self) -> bool {
        self.doubts.settled.load(Ordering::Acquire) < self.doubts.raised.load(Ordering::Acquire)
    }

    /// Begins a new era if there are doubts. Gives whether there are none any more.
    async fn settle(&self, redis: &Redis) -> bool {
        if !self.is_doubted() {
            return true;
        }
        let raised = self.doubts.raised.load(Ordering::Acquire);
        let mut begin = redis::cmd("SET");
        begin.arg(self.era(redis)).arg(random());
        if redis.command::<()>(&begin).await.is_err() {
            return false;
        }
        self.doubts.settled.fetch_max(raised, Ordering::AcqRel);
        true
    }
}

fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
