//! Who wants what somebody is writing at this moment waits, and is written together with the others who wait.
//!
//! This saves time only. What is sold once is decided by the database's locks, so other processes need not know.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// Those who wait in one lane at most.
const MOST_WAITING: usize = 2_048;

/// A lane is there while somebody writes what it is named after; in it are those who wait.
type Map<T> = HashMap<Uuid, VecDeque<T>>;

/// The lanes of a process, by the goods that are wanted.
#[derive(Debug)]
pub(super) struct Lanes<T>(Arc<Mutex<Map<T>>>);

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// What somebody does who comes.
#[derive(Debug)]
pub(super) enum Entry<T> {
    /// He writes at once; nobody else writes any of his goods.
    Lead(Lead<T>, T),
    /// He waits behind somebody who writes one of them, and is taken along.
    Wait,
    /// Too many wait already.
    Full(T),
}

impl<T> Lanes<T> {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.0).values().map(VecDeque::len).sum()
    }

    /// Enters with what is wanted.
    pub(super) fn enter(&self, goods: Vec<Uuid>, item: T) -> Entry<T> {
        let mut map = lock(&self.0);
        if let Some(good) = goods.iter().find(|good| map.contains_key(good)) {
            let lane = map.entry(*good).or_default();
            if lane.len() >= MOST_WAITING {
                return Entry::Full(item);
            }
            lane.push_back(item);
            return Entry::Wait;
        }
        for good in &goods {
            map.insert(*good, VecDeque::new());
        }
        drop(map);
        Entry::Lead(Lead { map: Arc::clone(&self.0), goods }, item)
    }
}

/// Keeps lanes open. When it is dropped, they close, and who still waits in them is dropped too.
#[derive(Debug)]
pub(super) struct Lead<T> {
    map: Arc<Mutex<Map<T>>>,
    goods: Vec<Uuid>,
}

impl<T> Lead<T> {
    /// Puts those back at the head of a lane who are to be taken along the next time, in their order.
    pub(super) fn put_back(&self, items: Vec<T>) {
        let mut map = lock(&self.map);
        if let Some(lane) = self.goods.first().and_then(|good| map.get_mut(good)) {
            for item in items.into_iter().rev() {
                lane.push_front(item);
            }
        }
    }

    /// Takes those who have come meanwhile, at most so many and so much weight, but at least one. Nobody: all lanes are
    /// closed, in the same moment, so that the next who comes leads.
    pub(super) fn next(&mut self, most: usize, most_weight: usize, weight: impl Fn(&T) -> usize) -> Vec<T> {
        let mut map = lock(&self.map);
        let (mut taken, mut taken_weight) = (Vec::new(), 0);
        self.goods.retain(|good| {
            let Some(lane) = map.get_mut(good) else { return false };
            let before = taken.len();
            while taken.len() < most
                && let Some(next) = lane.front().map(&weight)
                && (taken.is_empty() || taken_weight + next <= most_weight)
            {
                taken_weight += next;
                taken.extend(lane.pop_front());
            }
            let is_used = taken.len() > before || !lane.is_empty();
            if !is_used {
                map.remove(good);
            }
            is_used
        });
        taken
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        let mut map = lock(&self.map);
        let left: Vec<_> = self.goods.iter().filter_map(|good| map.remove(good)).collect();
        drop(map);
        drop(left);
    }
}

fn lock<T>(map: &Mutex<Map<T>>) -> MutexGuard<'_, Map<T>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KENTE: Uuid = Uuid::from_u128(1);
    const ADIRE: Uuid = Uuid::from_u128(2);
    const LACE: Uuid = Uuid::from_u128(3);

    fn lead(lanes: &Lanes<usize>, goods: &[Uuid]) -> Lead<usize> {
        match lanes.enter(goods.to_vec(), 0) {
            Entry::Lead(lead, 0) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn waits(lanes: &Lanes<usize>, goods: &[Uuid], item: usize) {
        assert!(matches!(lanes.enter(goods.to_vec(), item), Entry::Wait));
    }

    #[test]
    fn who_wants_something_else_does_not_wait() {
        let lanes = Lanes::default();
        let (_kente, _adire) = (lead(&lanes, &[KENTE]), lead(&lanes, &[ADIRE]));
        waits(&lanes, &[LACE, ADIRE], 1);
        // Whoever waits for one thing keeps nobody from another.
        lead(&lanes, &[LACE]);
    }

    #[test]
    fn those_who_wait_are_taken_in_their_order_until_nobody_is_left() {
        let lanes = Lanes::default();
        let mut kente = lead(&lanes, &[KENTE, ADIRE]);
        for item in 1..=5 {
            waits(&lanes, &[if item == 3 { ADIRE } else { KENTE }], item);
        }
        assert_eq!(kente.next(3, 100, |_| 1), [1, 2, 4]);
        kente.put_back(vec![2, 4]);
        assert_eq!(kente.next(10, 100, |_| 1), [2, 4, 5, 3]);
        // Both lanes were in use until now. One that nobody wanted since is closed, the other is not.
        waits(&lanes, &[KENTE], 6);
        assert_eq!(kente.next(10, 100, |_| 1), [6]);
        lead(&lanes, &[ADIRE]);
        waits(&lanes, &[KENTE], 7);
        assert_eq!(kente.next(10, 100, |_| 1), [7]);
        assert!(kente.next(10, 100, |_| 1).is_empty());
        lead(&lanes, &[KENTE]);
    }

    #[test]
    fn weight_is_bounded_but_one_is_always_taken() {
        let lanes = Lanes::default();
        let mut kente = lead(&lanes, &[KENTE]);
        for item in [70, 40, 30, 90] {
            waits(&lanes, &[KENTE], item);
        }
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(kente.next(10, 60, |item| *item));
        }
        assert_eq!(taken, [vec![70], vec![40], vec![30]]);
        assert_eq!(kente.next(10, 60, |item| *item), [90]);
    }

    #[test]
    fn lanes_close_when_their_leader_is_gone() {
        let lanes = Lanes(Arc::default());
        let kente = match lanes.enter(vec![KENTE], Arc::new(())) {
            Entry::Lead(lead, _) => lead,
            other => panic!("{other:?}"),
        };
        let waiting = Arc::new(());
        assert!(matches!(lanes.enter(vec![KENTE], Arc::clone(&waiting)), Entry::Wait));
        drop(kente);
        assert_eq!(Arc::strong_count(&waiting), 1, "nobody waits for ever");
        assert!(matches!(lanes.enter(vec![KENTE], waiting), Entry::Lead(..)));
    }

    #[test]
    fn a_lane_has_an_end() {
        let lanes = Lanes::default();
        let _kente = lead(&lanes, &[KENTE]);
        for item in 0..MOST_WAITING {
            waits(&lanes, &[KENTE], item);
        }
        assert!(matches!(lanes.enter(vec![KENTE], 1), Entry::Full(1)));
    }
}
