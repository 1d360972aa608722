//! The server's log file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A log that has grown past this many bytes is set aside at the next start.
const ROTATE_AT: u64 = 16 * 1024 * 1024;
/// At most this many bytes of the log are quoted in an error.
const TAIL: u64 = 4 * 1024;

/// The log of one start of the server.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    file: File,
    start: u64,
}

impl Log {
    /// Opens the log for appending; what earlier starts wrote stays before it.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("postgres.log");
        if fs::metadata(&path).is_ok_and(|log| log.len() > ROTATE_AT) {
            let old = data_dir.join("postgres.log.old");
            fs::rename(&path, &old).map_err(Error::io("rename", &path))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            // It may quote statements, and with them customers' data.
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let start = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok(Self { path, file, start })
    }

    /// A handle for the server to write to.
    pub(crate) fn writer(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("open", &self.path))
    }

    /// The end of what was written since the log was opened. It only serves to
    /// explain a failure, so a failure to read it is not worth another error.
    pub(crate) fn tail(&self) -> String {
        let mut bytes = Vec::new();
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let from = file.metadata()?.len().saturating_sub(TAIL).max(self.start);
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            Err(error) => format!("(cannot be read: {error})"),
        }
    }
}
