//! Pictures in other sizes, on the disk and, for the busiest, in memory. Whoever asks while one is made waits for it, so
//! each is made once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use moka::future::Cache as Memory;
use uuid::Uuid;

use super::model::FileName;
use super::storage::write_whole;
use crate::platform::error::{Error, Result};

/// Bytes kept in memory.
const IN_MEMORY: u64 = 32 * 1024 * 1024;

/// Files that are known to be gone. Their ids are never used again, so forgetting one matters only to who was slow.
const GONE: u64 = 10_000;

/// A file's time is renewed when it was read and is older than this.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// The cache. What is in it can be made again, so losing it is no loss.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    memory: Memory<String, Bytes>,
    /// Whoever began before a file was deleted must not bring it back.
    gone: Memory<Uuid, ()>,
    disk: Arc<Disk>,
}

#[derive(Debug)]
struct Disk {
    root: PathBuf,
    partial: PathBuf,
    /// Bytes on the disk; above it the ones that nobody read for longest go.
    limit: u64,
    /// Bytes on the disk, roughly. `u64::MAX` before they were counted.
    used: AtomicU64,
    is_sweeping: AtomicBool,
}

impl Cache {
    pub(super) fn new(media: &Path, limit: u64) -> Self {
        let memory = Memory::builder()
            .max_capacity(IN_MEMORY)
            .support_invalidation_closures()
            .weigher(|key: &String, bytes: &Bytes| u32::try_from(key.len() + bytes.len()).unwrap_or(u32::MAX))
            .build();
        let disk = Disk {
            root: media.join("cache"),
            partial: media.join("partial"),
            limit,
            used: AtomicU64::new(u64::MAX),
            is_sweeping: AtomicBool::new(false),
        };
        Self { memory, gone: Memory::new(GONE), disk: Arc::new(disk) }
    }

    /// The bytes that `make` gives for this name of a file, made if they are not here. What is found on the disk counts only
    /// where `is_kept` says so.
    ///
    /// # Errors
    /// Those of `make`, to everybody who waited for it.
    pub(super) async fn get_or_make(
        &self,
        file: FileName,
        name: &str,
        is_kept: impl Future<Output = bool>,
        make: impl Future<Output = Result<Bytes>>,
    ) -> Result<Bytes> {
        const MISSING: Error = Error::NotFound("The picture");
        if self.gone.contains_key(&file.id()) {
            return Err(MISSING);
        }
        let disk = self.disk.clone();
        let path = disk.path(file, name);
        let load = async {
            let (reader, at) = (disk.clone(), path.clone());
            let found = tokio::task::spawn_blocking(move || reader.read(&at)).await.map_err(Error::internal)?;
            if let Some(bytes) = found {
                if is_kept.await {
                    return Ok(bytes);
                }
                self.forget(&[file.id()]).await;
                return Err(MISSING);
            }
            let made = make.await?;
            let (writer, bytes) = (disk.clone(), made.clone());
            tokio::task::spawn_blocking(move || writer.write(&path, &bytes)).await.map_err(Error::internal)?;
            if self.gone.contains_key(&file.id()) {
                self.forget(&[file.id()]).await;
                return Err(MISSING);
            }
            Ok(made)
        };
        self.memory.try_get_with(format!("{file}/{name}"), load).await.map_err(|error: Arc<Error>| match &*error {
            Error::NotFound(what) => Error::NotFound(what),
            other => Error::Unavailable(anyhow::anyhow!("a picture could not be made: {other:?}")),
        })
    }

    /// Forgets all of these files, for good.
    pub(super) async fn forget(&self, files: &[Uuid]) {
        for file in files {
            self.gone.insert(*file, ()).await;
        }
        let files = files.to_vec();
        let forgotten = files.clone();
        // Nothing of them is given any more; what is in memory goes when there is time.
        let _ = self.memory.invalidate_entries_if(move |key, _| forgotten.iter().any(|file| is_of(key, *file)));
        let disk = self.disk.clone();
        let clear = move || {
            for name in files.into_iter().flat_map(FileName::all_of) {
                let _ = std::fs::remove_dir_all(disk.folder(name));
            }
        };
        let _ = tokio::task::spawn_blocking(clear).await;
    }

    /// Forgets what is in memory.
    pub(super) fn start_anew(&self) {
        self.memory.invalidate_all();
    }
}

fn is_of(key: &str, file: Uuid) -> bool {
    key.split_once('.').is_some_and(|(id, _)| id.parse() == Ok(file))
}

impl Disk {
    /// One folder for all sizes of a file.
    fn folder(&self, file: FileName) -> PathBuf {
        let (first, second) = file.folders();
        self.root.join(first).join(second).join(file.to_string())
    }

    fn path(&self, file: FileName, name: &str) -> PathBuf {
        self.folder(file).join(name)
    }

    fn read(&self, path: &Path) -> Option<Bytes> {
        let bytes = std::fs::read(path).ok()?;
        // The disk's own times of access are often turned off.
        let touch = || -> std::io::Result<()> {
            let file = std::fs::File::options().append(true).open(path)?;
            if file.metadata()?.modified()?.elapsed().is_ok_and(|age| age > FRESH) {
                file.set_modified(SystemTime::now())?;
            }
            Ok(())
        };
        let _ = touch();
        Some(bytes.into())
    }

    /// A disk that is full costs time, not answers.
    fn write(&self, path: &Path, bytes: &[u8]) {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > self.limit {
            return;
        }
        if let Err(error) = write_whole(path, &self.partial, bytes, false) {
            tracing::warn!(error = %error, "a picture could not be cached");
            return;
        }
        let known = self.used.load(Ordering::Relaxed);
        let used = if known == u64::MAX { u64::MAX } else { self.used.fetch_add(size, Ordering::Relaxed) + size };
        if used > self.limit && !self.is_sweeping.swap(true, Ordering::AcqRel) {
            self.sweep();
            self.is_sweeping.store(false, Ordering::Release);
        }
    }

    /// Counts what is there, and removes the files that were not read for longest until a tenth of the room is free.
    fn sweep(&self) {
        let mut files = Vec::new();
        collect(&self.root, &mut files);
        let mut used: u64 = files.iter().map(|(_, size, _)| size).sum();
        if used > self.limit {
            files.sort_by_key(|(read_at, _, _)| *read_at);
            for (_, size, path) in &files {
                if used <= self.limit - self.limit / 10 {
                    break;
                }
                if std::fs::remove_file(path).is_ok() {
                    used -= size;
                }
            }
        }
        self.used.store(used, Ordering::Relaxed);
    }
}

/// All files below a folder: when they were last read, their size, their path.
fn collect(folder: &Path, files: &mut Vec<(SystemTime, u64, PathBuf)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            collect(&entry.path(), files);
        } else if let Ok(read_at) = meta.modified() {
            files.push((read_at, meta.len(), entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::model::Format;
    use super::*;

    async fn kept() -> bool {
        true
    }

    async fn put(cache: &Cache, file: FileName, bytes: usize) {
        cache.get_or_make(file, "x.webp", kept(), async { Ok(vec![7; bytes].into()) }).await.unwrap();
    }

    fn sizes(folder: &Path) -> u64 {
        let mut files = Vec::new();
        collect(&folder.join("cache"), &mut files);
        files.iter().map(|(_, size, _)| size).sum()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_makes_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, file) = (Cache::new(folder.path(), 1_000), FileName::new(Format::Jpeg));
        let made = AtomicUsize::new(0);
        let ask = || {
            cache.get_or_make(file, "x.webp", kept(), async {
                made.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(Bytes::from_static(b"picture"))
            })
        };
        let answers = futures::future::join_all((0..50).map(|_| ask())).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap() == "picture"));
        assert_eq!(made.load(Ordering::SeqCst), 1);
        // Another process finds it on the disk.
        let other = Cache::new(folder.path(), 1_000);
        let found = other.get_or_make(file, "x.webp", kept(), async { Err(Error::NotFound("The picture")) }).await;
        assert_eq!(found.unwrap(), "picture");
        other.forget(&[file.id()]).await;
        let gone = other.get_or_make(file, "x.webp", kept(), async { Err(Error::NotFound("The picture")) }).await;
        assert!(matches!(gone, Err(Error::NotFound(_))));
    }

    #[tokio::test]
    async fn what_is_deleted_does_not_come_back_by_who_was_slow() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, file) = (Cache::new(folder.path(), 1_000), FileName::new(Format::Jpeg));
        let slow = cache.get_or_make(file, "x.webp", kept(), async {
            cache.forget(&[file.id()]).await;
            Ok(Bytes::from_static(b"picture"))
        });
        assert!(matches!(slow.await, Err(Error::NotFound(_))));
        assert_eq!(sizes(folder.path()), 0);
        // A server that was down finds it on its disk, and asks.
        let file = FileName::new(Format::Jpeg);
        put(&cache, file, 10).await;
        let other = Cache::new(folder.path(), 1_000);
        let found = other.get_or_make(file, "x.webp", async { false }, async { Ok(Bytes::new()) }).await;
        assert!(matches!(found, Err(Error::NotFound(_))));
        assert_eq!(sizes(folder.path()), 0);
        // Others stay.
        let (gone, stays) = (FileName::new(Format::Png), FileName::new(Format::Png));
        put(&cache, gone, 10).await;
        put(&cache, stays, 10).await;
        cache.forget(&[gone.id()]).await;
        assert_eq!(sizes(folder.path()), 10);
        let again = cache.get_or_make(stays, "x.webp", kept(), async { Err(Error::NotFound("The picture")) }).await;
        assert_eq!(again.unwrap().len(), 10);
    }

    #[tokio::test]
    async fn the_disk_keeps_within_its_bound_and_loses_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 1_000);
        let files: Vec<_> = (0..8).map(|_| FileName::new(Format::Png)).collect();
        for (i, file) in (0_u64..).zip(&files) {
            put(&cache, *file, 300).await;
            // The first ones are the oldest, whatever the clock's grain.
            let path = cache.disk.path(*file, "x.webp");
            if let Ok(written) = std::fs::File::options().append(true).open(path) {
                written.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(i)).unwrap();
            }
            assert!(sizes(folder.path()) <= 1_000, "{i}");
        }
        assert!(!cache.disk.path(files[0], "x.webp").exists());
        assert!(cache.disk.path(files[6], "x.webp").exists());
        put(&cache, FileName::new(Format::Png), 5_000).await;
        assert!(sizes(folder.path()) <= 1_000, "what is larger than the room is not kept");
    }
}
