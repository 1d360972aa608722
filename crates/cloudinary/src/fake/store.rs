//! The fake's state, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::control::Faults;
use super::picture::Picture;
use crate::{DeliveryType, PublicId, ResourceType};

/// How many deliveries are remembered.
const MAX_SERVED: usize = 1000;

/// One kept picture, or a file that is none.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) asset_id: String,
    pub(super) version: u64,
    /// None for a raw file.
    pub(super) picture: Option<Picture>,
    pub(super) file: Bytes,
    pub(super) etag: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) original_filename: String,
    pub(super) asset_folder: String,
    pub(super) tags: Vec<String>,
    pub(super) context: BTreeMap<String, String>,
}

/// One delivery of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The picture's name.
    pub public_id: PublicId,
    /// The version in the URL; the fake delivers the newest one, whatever it says.
    pub version: Option<u64>,
    /// What was to be made of it, as in the URL, empty for nothing.
    pub transformation: String,
}

/// As what it is kept, its type and its name.
pub(super) type Key = (ResourceType, DeliveryType, PublicId);

/// Everything that changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) kept: BTreeMap<Key, Kept>,
    /// Oldest first.
    pub(super) served: VecDeque<Served>,
    pub(super) faults: Faults,
    last_version: u64,
}

impl State {
    /// The time, or one more than the last version where that is not later.
    pub(super) fn new_version(&mut self, now: i64) -> u64 {
        self.last_version = u64::try_from(now).unwrap_or_default().max(self.last_version + 1);
        self.last_version
    }

    /// What all pictures take but this one, in bytes.
    pub(super) fn size_without(&self, key: &Key) -> usize {
        self.kept.iter().filter(|(other, _)| *other != key).map(|(_, kept)| kept.file.len()).sum()
    }

    pub(super) fn note(&mut self, served: Served) {
        if self.served.len() == MAX_SERVED {
            self.served.pop_front();
        }
        self.served.push_back(served);
    }
}

/// The state behind a lock.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<State>);

impl Store {
    /// Gives `use_state` the state to itself.
    pub(super) fn with<T>(&self, use_state: impl FnOnce(&mut State) -> T) -> T {
        use_state(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
