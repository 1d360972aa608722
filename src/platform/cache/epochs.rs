//! Counts changes, so that who read before a change does not keep what he read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// Changes are counted in this many groups of things, so that one change keeps few others from being kept.
const GROUPS: usize = 64;

/// Counts the changes of things that have ids.
#[derive(Clone, Debug)]
pub struct Epochs(Arc<[AtomicU64; GROUPS]>);

/// The counts of some moment.
#[derive(Clone, Debug)]
pub struct Epoch(Arc<[u64; GROUPS]>);

impl Default for Epochs {
    fn default() -> Self {
        Self(Arc::new([const { AtomicU64::new(0) }; GROUPS]))
    }
}

impl Epochs {
    /// Take it before the truth is read.
    pub fn now(&self) -> Epoch {
        Epoch(Arc::new(std::array::from_fn(|group| self.0[group].load(Ordering::Acquire))))
    }

    /// Whether this thing has not changed since.
    pub fn is_current(&self, id: Uuid, since: &Epoch) -> bool {
        self.0[group_of(id)].load(Ordering::Acquire) == since.0[group_of(id)]
    }

    /// This thing has changed.
    pub fn change(&self, id: Uuid) {
        self.0[group_of(id)].fetch_add(1, Ordering::AcqRel);
    }

    /// Anything may have changed.
    pub fn change_all(&self) {
        for epoch in self.0.iter() {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Epoch {
    /// Whether what was read from this moment on knows every change before `moment`: of one thing, or of all.
    pub fn knows(&self, moment: &Self, id: Option<Uuid>) -> bool {
        match id {
            Some(id) => self.0[group_of(id)] >= moment.0[group_of(id)],
            None => self.0.iter().zip(moment.0.iter()).all(|(mine, other)| mine >= other),
        }
    }
}

/// The last byte of an id is random.
fn group_of(id: Uuid) -> usize {
    usize::from(id.as_bytes()[15]) % GROUPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_the_epoch_of_its_group_alone() {
        let (epochs, kente, adire) = (Epochs::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let before = epochs.now();
        epochs.change(kente);
        assert!(!epochs.is_current(kente, &before) && epochs.is_current(adire, &before));
        epochs.change_all();
        assert!(!epochs.is_current(adire, &before) && epochs.is_current(adire, &epochs.now()));
    }

    #[test]
    fn who_began_before_a_change_does_not_know_it() {
        let (epochs, kente, adire) = (Epochs::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let before = epochs.now();
        epochs.change(kente);
        let after = epochs.now();
        assert!(!before.knows(&after, Some(kente)) && before.knows(&after, Some(adire)) && !before.knows(&after, None));
        assert!(after.knows(&before, None) && after.knows(&after, None));
    }
}
