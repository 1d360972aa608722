//! Counts in the memory of this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Class, Key, Verdict, WINDOW_MS};

/// Requests of different keys seldom wait for the same lock.
const SHARDS: usize = 16;

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

    /// Counts a request if it is allowed. Tells with the verdict at what time it counts, which is never before the last one.
    fn count(&mut self, limit: u32, now: u64) -> (Verdict, u64) {
        self.move_to(now);
        let elapsed = self.seen % WINDOW_MS;
        // Rounded down, so that a minute after its last request every client has one free.
        let used = u64::from(self.current) + u64::from(self.previous) * (WINDOW_MS - elapsed) / WINDOW_MS;
        let free = u64::from(limit).saturating_sub(used);
        if free == 0 {
            return (Verdict::new(limit, free, self.wait(u64::from(limit), elapsed)), self.seen);
        }
        self.current += 1;
        (Verdict::new(limit, free, WINDOW_MS - elapsed), self.seen)
    }

    /// Takes a request back that counts at `counted`.
    fn give_back(&mut self, counted: u64) {
        match (self.seen / WINDOW_MS).checked_sub(counted / WINDOW_MS) {
            Some(0) => self.current = self.current.saturating_sub(1),
            Some(1) => self.previous = self.previous.saturating_sub(1),
            _ => {}
        }
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

/// The counts, of a bounded number of keys.
#[derive(Debug)]
pub(super) struct Memory {
    shards: Vec<Mutex<Shard>>,
    /// Most keys of one shard.
    shard_size: usize,
}

impl Memory {
    pub(super) fn new(clients: usize) -> Self {
        let clients = clients.max(1);
        let shards = SHARDS.min(clients);
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), shard_size: clients / shards }
    }

    /// Asks whether a request at `now`, in milliseconds since 1970, may go on, and counts it if so. Tells with the verdict at what
    /// time it counts.
    pub(super) fn count(&self, class: Class, key: &Key, limit: u32, now: u64) -> (Verdict, u64) {
        let mut shard = self.shard(key);
        let id = (class, *key);
        if shard.len() >= self.shard_size && !shard.contains_key(&id) {
            make_room(&mut shard, self.shard_size, now);
        }
        shard.entry(id).or_insert_with(|| Counts::new(now)).count(limit, now)
    }

    /// Takes a request back that counts at `counted`, the time that [`Self::count`] has told.
    pub(super) fn give_back(&self, class: Class, key: &Key, counted: u64) {
        if let Some(counts) = self.shard(key).get_mut(&(class, *key)) {
            counts.give_back(counted);
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(key.0[0]) % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a minute.
    const MINUTE: u64 = 1_763_000_040_000;

    fn allowed(memory: &Memory, key: &Key, limit: u32, ms: u64) -> usize {
        usize::from(memory.count(Class::Public, key, limit, MINUTE + ms).0.allowed)
    }

    fn known(memory: &Memory) -> usize {
        memory.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn memory_is_bounded_and_who_is_there_stays_known() {
        for clients in [1, 3, 16, 64, 100] {
            let (memory, ama) = (Memory::new(clients), Key::account("ama"));
            let mut passed = 0;
            for ms in 0..2_000 {
                passed += allowed(&memory, &ama, 1, ms);
                allowed(&memory, &Key::account(&ms.to_string()), 1, ms);
                assert!(known(&memory) <= clients, "{clients}: {}", known(&memory));
            }
            assert!(clients < 64 || passed == 1, "{clients}: {passed}");
        }
    }

    #[test]
    fn a_full_shard_drops_first_what_counts_no_more() {
        let memory = Memory::new(64);
        for i in 0..1_000 {
            allowed(&memory, &Key::account(&i.to_string()), 1, 0);
        }
        assert_eq!(known(&memory), 64);
        // All four of its shard are over.
        assert_eq!(allowed(&memory, &Key::account("new"), 1, 180_000), 1);
        assert_eq!(known(&memory), 61);
    }

    #[test]
    fn what_is_given_back_is_free_again_in_its_minute_and_the_next() {
        let (memory, ama) = (Memory::new(100), Key::account("ama"));
        let give_back = |ms| memory.give_back(Class::Public, &ama, MINUTE + ms);
        give_back(0);
        assert_eq!((allowed(&memory, &ama, 1, 0), allowed(&memory, &ama, 1, 1)), (1, 0));
        give_back(0);
        assert_eq!((allowed(&memory, &ama, 1, 2), allowed(&memory, &ama, 1, 60_000)), (1, 0));
        // It was counted in the minute before.
        give_back(2);
        assert_eq!((allowed(&memory, &ama, 1, 60_000), allowed(&memory, &ama, 1, 60_001)), (1, 0));
        // So long ago nothing counts, and nothing is given back for it.
        assert_eq!(allowed(&memory, &ama, 1, 240_000), 1);
        give_back(60_000);
        assert_eq!(allowed(&memory, &ama, 1, 240_001), 0);
    }

    #[test]
    fn a_clock_that_was_behind_gives_back_where_it_counted() {
        let (memory, ama) = (Memory::new(100), Key::account("ama"));
        assert_eq!(allowed(&memory, &ama, 2, 60_000), 1);
        let (verdict, counted) = memory.count(Class::Public, &ama, 2, MINUTE + 59_999);
        assert!(verdict.allowed);
        assert_eq!((counted, allowed(&memory, &ama, 2, 60_000)), (MINUTE + 60_000, 0));
        memory.give_back(Class::Public, &ama, counted);
        assert_eq!((allowed(&memory, &ama, 2, 60_000), allowed(&memory, &ama, 2, 60_000)), (1, 0));
    }

    #[test]
    fn parallel_requests_are_counted_exactly() {
        let (memory, ama) = (Memory::new(100), Key::account("ama"));
        let passed: usize = std::thread::scope(|scope| {
            let many = || (0..10).map(|_| allowed(&memory, &ama, 100, 0)).sum::<usize>();
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(many)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }
}
