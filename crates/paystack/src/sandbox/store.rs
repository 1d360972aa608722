//! The sandbox's state: in memory, and in a file if there is one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::control::Faults;
use super::delivery::Delivery;
use super::dispute::Dispute;
use super::payment::Payment;
use super::refund::Refund;

/// Everything that outlives a restart.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    next_id: u64,
    /// Oldest first.
    pub(super) payments: Vec<Payment>,
    /// Oldest first.
    pub(super) refunds: Vec<Refund>,
    /// Oldest first.
    pub(super) disputes: Vec<Dispute>,
    /// References whose start was refused once because of their amount.
    pub(super) refused: BTreeSet<String>,
    /// Webhooks still to be delivered.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) faults: Faults,
}

impl Default for State {
    fn default() -> Self {
        // From the clock, so that a sandbox without a state file repeats no id of
        // an earlier run; beyond 32 bits, as Paystack's ids are.
        let next_id = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
        Self {
            next_id,
            payments: Vec::new(),
            refunds: Vec::new(),
            disputes: Vec::new(),
            refused: BTreeSet::new(),
            deliveries: Vec::new(),
            faults: Faults::default(),
        }
    }
}

impl State {
    /// An id that nothing else in this state has.
    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn by_reference(&self, reference: &str) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.reference == reference)
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.id == id)
    }

    pub(super) fn by_id_mut(&mut self, id: u64) -> Option<&mut Payment> {
        self.payments.iter_mut().find(|payment| payment.id == id)
    }

    /// The transaction that a request names by its reference or by its id.
    pub(super) fn by_name(&self, name: &str) -> Option<&Payment> {
        self.by_reference(name).or_else(|| self.by_id(name.parse().ok()?))
    }

    pub(super) fn by_access_code(&self, access_code: &str) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.access_code == access_code)
    }
}

/// The state behind a lock, written to its file after each change.
pub(super) struct Store {
    state: Mutex<State>,
    file: Option<PathBuf>,
}

impl Store {
    pub(super) fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let state = match file.as_deref().map(fs::read) {
            Some(Ok(json)) => serde_json::from_slice(&json)?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Some(Err(_)) | None => State::default(),
        };
        Ok(Self { state: Mutex::new(state), file })
    }

    pub(super) fn read<T>(&self, use_state: impl FnOnce(&State) -> T) -> T {
        use_state(&self.lock())
    }

    /// Changes the state and saves it before anyone else sees it. If the file
    /// cannot be written the change stays in memory, and the log says so.
    pub(super) fn change<T>(&self, change_state: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change_state(&mut state);
        if let Some(file) = &self.file
            && let Err(error) = save(&state, file)
        {
            tracing::error!(%error, file = %file.display(), "cannot save the Paystack sandbox");
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the file as a whole: a process killed meanwhile leaves the old or the
/// new content. Not synced to the disk, for a sandbox need not survive a power cut.
fn save(state: &State, file: &Path) -> io::Result<()> {
    let json = serde_json::to_vec(state)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(".tmp");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Buyers' addresses are in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(&json)?;
    fs::rename(&draft, file)
}
