//! Counts in Redis.

use redis::Script;

use super::{Class, Key, Verdict, WINDOW_MS};
use crate::platform::redis::{Redis, Unreachable};

/// The counts of all processes of the shop. Each is gone two minutes after its last request.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Redis,
    script: Script,
}

impl Shared {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, script: Script::new(include_str!("count.lua")) }
    }

    /// Asks whether a request at `now`, in milliseconds since 1970, may go on, and counts it if so.
    pub(super) async fn count(&self, class: Class, key: &Key, limit: u32, now: u64) -> Result<Verdict, Unreachable> {
        let name = self.redis.key("limit", &format!("{}:{}", class.as_str(), hex::encode(key.0)));
        let mut call = self.script.key(name);
        call.arg(limit).arg(now).arg(WINDOW_MS);
        let (free, reset) = self.redis.script::<(u64, u64)>(&call).await?;
        Ok(Verdict::new(limit, free, reset))
    }
}
