//! Using a server that another program owns.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Options, cluster, process, socket};

/// A server that runs already and is not ours to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pid: u32,
    socket_dir: PathBuf,
}

/// Looks for a server of `options.data_dir` that runs and accepts connections.
///
/// # Errors
///
/// [`Error::Io`] if the data directory is there but may not be read, as when
/// the server runs as another user and we are not root.
pub fn attach(options: &Options) -> Result<Option<Attached>, Error> {
    let data_dir = match fs::canonicalize(&options.data_dir) {
        Ok(data_dir) => data_dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("find", &options.data_dir)(error)),
    };
    let cluster = data_dir.join("postgres");
    Ok(cluster::pid_file(&cluster)?
        .filter(|found| found.ready && process::serves(found.pid, &cluster))
        .and_then(|found| Some(Attached { pid: found.pid, socket_dir: found.socket_dir? })))
}

impl Attached {
    /// The URL of a database, for sqlx or libpq. See
    /// [`crate::PrivatePostgres::url`].
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket_dir, database)
    }

    /// The process of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The directory of the server's Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }
}
