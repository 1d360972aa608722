//! A cache that all processes of a shop share, in Redis.
//!
//! Whoever finds nothing gets a token, which he shows when he brings what he has read. A change deletes entry and token
//! together, so what was read before the change is not taken, whatever order things arrive in, and whatever Redis itself has
//! forgotten meanwhile.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use redis::Script;
use tokio::time::Instant;
use uuid::Uuid;

use crate::platform::redis::Redis;
use crate::platform::signals::Hearing;

/// How long a token is good: longer than a read takes.
const TOKEN_AGE: Duration = Duration::from_secs(5);

/// Keys of one command.
const CHUNK: usize = 500;

/// KEYS: entry, token. ARGV: a new token, its age in ms. Gives the entry and its rest in ms, or the token.
static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local entry = redis.call('GET', KEYS[1])
         if entry then return {entry, redis.call('PTTL', KEYS[1])} end
         local token = redis.call('GET', KEYS[2])
         if not token then
           token = ARGV[1]
           redis.call('SET', KEYS[2], token, 'PX', ARGV[2])
         end
         return {token, -1}",
    )
});

/// KEYS: entry, token. ARGV: the token, the entry, its age in ms.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
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

/// Entries of one kind.
#[derive(Clone, Debug)]
pub struct SharedCache {
    redis: Option<Redis>,
    kind: &'static str,
    age: Duration,
    hearing: Hearing,
    /// Until then entries may be older than a change that Redis was not told.
    doubted_until: Arc<Mutex<Option<Instant>>>,
}

impl SharedCache {
    /// Entries that live as long as `age`, at most. Without Redis, or with an age of 0, it is off; so it is while this process
    /// does not hear what others change.
    pub fn new(redis: Option<Redis>, kind: &'static str, age: Duration, hearing: Hearing) -> Self {
        Self { redis: redis.filter(|_| !age.is_zero()), kind, age, hearing, doubted_until: Arc::default() }
    }

    /// Whether there may be entries at all.
    pub fn is_used(&self) -> bool {
        self.redis.is_some()
    }

    fn keys(&self, redis: &Redis, id: Uuid) -> (String, String) {
        let id = id.simple();
        (redis.key(self.kind, &id.to_string()), redis.key(self.kind, &format!("{id}:token")))
    }

    /// Looks for an entry.
    pub async fn get(&self, id: Uuid) -> Found {
        let Some(redis) = self.redis.as_ref().filter(|_| self.hearing.is_good() && !self.is_doubted()) else {
            return Found::Off;
        };
        let (entry, token) = self.keys(redis, id);
        let mut get = GET.key(entry);
        get.key(token).arg(format!("{:032x}", rand::random::<u128>())).arg(millis(TOKEN_AGE));
        match redis.script::<(Vec<u8>, i64)>(&get).await {
            // A doubt that came while the answer was on its way.
            Ok(_) if self.is_doubted() => Found::Off,
            Ok((token, -1)) => Found::Nothing(Token(token)),
            Ok((entry, rest)) => Found::Entry(entry, Duration::from_millis(rest.unsigned_abs()).min(self.age)),
            Err(_) => Found::Off,
        }
    }

    /// Brings an entry that was read after the token was given.
    pub async fn put(&self, id: Uuid, token: &Token, entry: &[u8]) {
        let Some(redis) = &self.redis else { return };
        let (key, token_key) = self.keys(redis, id);
        let mut put = PUT.key(key);
        put.key(token_key).arg(&token.0).arg(entry).arg(millis(self.age));
        // Not kept, then; the reader has what he wants.
        let _ = redis.script::<i64>(&put).await;
    }

    /// Forgets these. Call it after the commit and before the answer. Gives whether Redis knows: if not, every process has to
    /// be told to try the same, and this one trusts no entry until all of now are over.
    #[must_use]
    pub async fn forget(&self, ids: &[Uuid]) -> bool {
        let Some(redis) = &self.redis else { return true };
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

    /// Trusts no entry until all of now are over, and those that slow readers may still bring.
    pub fn doubt(&self) {
        let mut doubted_until = self.doubted_until.lock().unwrap_or_else(PoisonError::into_inner);
        *doubted_until = Some(Instant::now() + TOKEN_AGE + self.age);
    }

    fn is_doubted(&self) -> bool {
        let doubted_until = self.doubted_until.lock().unwrap_or_else(PoisonError::into_inner);
        doubted_until.is_some_and(|until| Instant::now() < until)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
