//! Counts in Redis.

use redis::Script;

use super::{Class, Key, Verdict, WINDOW_MS};
use crate::platform::redis::{Redis, Unreachable};

/// The counts of all processes of the shop. Each is gone two minutes after its last request.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Redis,
    script: Script,
    back: Script,
}

impl Shared {
    pub(super) fn new(redis: Redis) -> Self {
        let (script, back) = (Script::new(include_str!("count.lua")), Script::new(include_str!("give_back.lua")));
        Self { redis, script, back }
    }

    fn name(&self, class: Class, key: &Key) -> String {
        self.redis.key("limit", &format!("{}:{}", class.as_str(), hex::encode(key.0)))
    }

    /// Takes a request back that counts at `counted`, the time that [`Self::count`] has told.
    pub(super) async fn give_back(&self, class: Class, key: &Key, counted: u64) -> Result<(), Unreachable> {
        let mut call = self.back.key(self.name(class, key));
        call.arg(counted).arg(WINDOW_MS);
        self.redis.script::<u64>(&call).await.map(|_| ())
    }

    /// Asks whether a request at `now`, in milliseconds since 1970, may go on, and counts it if so. Tells with the verdict at what
    /// time it counts.
    pub(super) async fn count(
        &self,
        class: Class,
        key: &Key,
        limit: u32,
        now: u64,
    ) -> Result<(Verdict, u64), Unreachable> {
        let mut call = self.script.key(self.name(class, key));
        call.arg(limit).arg(now).arg(WINDOW_MS);
        let (free, reset, counted) = self.redis.script::<(u64, u64, u64)>(&call).await?;
        Ok((Verdict::new(limit, free, reset), counted))
    }
}
