//! Whether this process hears the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether signals arrive. Caches are used only while they do.
#[derive(Clone, Debug)]
pub struct Hearing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// In milliseconds since the origin.
    good_until: AtomicU64,
}

impl Default for Hearing {
    /// Deaf, until somebody listens.
    fn default() -> Self {
        Self(Arc::new(Inner { origin: Instant::now(), good_until: AtomicU64::new(0) }))
    }
}

impl Hearing {
    /// For tests without a database.
    #[cfg(test)]
    pub(crate) fn always() -> Self {
        let hearing = Self::default();
        hearing.0.good_until.store(u64::MAX, Ordering::Release);
        hearing
    }

    /// Whether everything has been heard that others told before a moment ago.
    pub fn is_good(&self) -> bool {
        millis(self.0.origin.elapsed()) < self.0.good_until.load(Ordering::Acquire)
    }

    /// Something was heard that was asked for at `asked`: good for so long from then on.
    pub(super) fn extend(&self, asked: Instant, good_for: Duration) {
        let until = asked.saturating_duration_since(self.0.origin) + good_for;
        self.0.good_until.store(millis(until), Ordering::Release);
    }

    pub(super) fn lose(&self) {
        self.0.good_until.store(0, Ordering::Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
