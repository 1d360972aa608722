//! Files in the data directory.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use uuid::Uuid;

use super::super::model::FileName;
use super::{Key, StorageError};

/// Megabytes below which a disk is soon full.
const LEAST_FREE: u64 = 500;

/// The folder of the files, and of what is half written.
#[derive(Clone, Debug)]
pub(in super::super) struct Local {
    root: PathBuf,
}

impl Local {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, key: Key) -> PathBuf {
        match key {
            Key::File(name) => self.file(name),
            Key::Incoming(id) => self.root.join("incoming").join(id.to_string()),
            Key::Document(id) => {
                let folder = hex::encode(&id.as_bytes()[15..]);
                self.root.join("documents").join(folder).join(id.to_string())
            }
            Key::Probe(id) => self.root.join("probe").join(id.to_string()),
        }
    }

    fn file(&self, name: FileName) -> PathBuf {
        let (first, second) = name.folders();
        self.root.join("files").join(first).join(second).join(name.to_string())
    }

    /// Writes a file: either all of it is there under its name, on the disk, or nothing is.
    pub(super) async fn put(&self, key: Key, bytes: Bytes) -> Result<(), StorageError> {
        let (path, partial) = (self.path(key), self.root.join("partial"));
        blocking(move || write_whole(&path, &partial, &bytes, false)).await
    }

    /// The same, but a file that is there already stays as it is. False when there was one.
    pub(in super::super) async fn put_once(&self, key: Key, bytes: Bytes) -> Result<bool, StorageError> {
        let (path, partial) = (self.path(key), self.root.join("partial"));
        match blocking(move || write_whole(&path, &partial, &bytes, true)).await {
            Err(StorageError::Exists) => Ok(false),
            written => written.map(|()| true),
        }
    }

    pub(in super::super) async fn get(&self, key: Key, limit: u64) -> Result<Bytes, StorageError> {
        let path = self.path(key);
        blocking(move || {
            let length = std::fs::metadata(&path).map_err(missing)?.len();
            if length > limit {
                return Err(StorageError::TooLarge);
            }
            Ok(std::fs::read(&path).map_err(missing)?.into())
        })
        .await
    }

    pub(super) async fn remove(&self, key: Key) -> Result<(), StorageError> {
        let path = self.path(key);
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::Failed(error.into())),
            _ => Ok(()),
        })
        .await
    }

    /// Writes and removes a file, and looks how much room there is.
    pub(super) async fn check(&self, role: &str) -> anyhow::Result<String> {
        let (key, root) = (Key::Probe(Uuid::now_v7()), &self.root);
        let mend = || format!("the user of this program must be able to write to {} (server.data_dir)", root.display());
        self.put(key, Bytes::from_static(b"agape doctor")).await.with_context(mend)?;
        self.remove(key).await.with_context(mend)?;
        let _ = std::fs::remove_dir(root.join("probe"));
        let disk = nix::sys::statvfs::statvfs(root.as_path()).with_context(mend)?;
        #[cfg_attr(
            target_os = "linux",
            expect(clippy::useless_conversion, reason = "other systems have smaller types")
        )]
        let free = u64::from(disk.blocks_available()) * u64::from(disk.fragment_size()) / (1024 * 1024);
        anyhow::ensure!(
            free >= LEAST_FREE,
            "only {free} MB are free at {}; make room there, or make media.cache_bytes smaller",
            root.display()
        );
        Ok(format!("{role}; {free} MB are free"))
    }

    /// Removes what writers left half written when they were killed more than `age` ago.
    pub(in super::super) async fn sweep(&self, age: Duration) -> Result<(), StorageError> {
        let partial = self.root.join("partial");
        blocking(move || {
            let entries = match std::fs::read_dir(&partial) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                entries => entries.map_err(|error| StorageError::Failed(error.into()))?,
            };
            for entry in entries.flatten() {
                let changed = entry.metadata().and_then(|meta| meta.modified()).unwrap_or_else(|_| SystemTime::now());
                if changed.elapsed().is_ok_and(|passed| passed > age) {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
            Ok(())
        })
        .await
    }
}

fn missing(error: std::io::Error) -> StorageError {
    if error.kind() == ErrorKind::NotFound { StorageError::Missing } else { StorageError::Failed(error.into()) }
}

/// Writes beside the place first; the name appears when the bytes are on the disk.
pub(in super::super) fn write_whole(path: &Path, partial: &Path, bytes: &[u8], once: bool) -> Result<(), StorageError> {
    let work = || -> anyhow::Result<bool> {
        let folder = path.parent().context("a file has a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::create_dir_all(partial)?;
        let temporary = partial.join(Uuid::now_v7().to_string());
        let written = (|| -> std::io::Result<bool> {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            if once {
                // A link, unlike a rename, does not replace what has the name.
                match std::fs::hard_link(&temporary, path) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                    linked => linked?,
                }
                std::fs::remove_file(&temporary)?;
            } else {
                std::fs::rename(&temporary, path)?;
            }
            std::fs::File::open(folder)?.sync_all()?;
            Ok(true)
        })();
        if !matches!(written, Ok(true)) {
            let _ = std::fs::remove_file(&temporary);
        }
        Ok(written?)
    };
    match work() {
        Ok(true) => Ok(()),
        Ok(false) => Err(StorageError::Exists),
        Err(error) => Err(StorageError::Failed(error)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StorageError::Failed(error.into()))?
}
