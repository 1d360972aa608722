//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a private server could not be found, made, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No PostgreSQL was found in any of the places looked at.
    #[error(
        "PostgreSQL is not installed (looked for `postgres` and `initdb` in PATH and in the usual \
         places); install it with `apt install postgresql` on Debian or Ubuntu, \
         `brew install postgresql@17` on macOS"
    )]
    NotInstalled,

    /// [`crate::Options::bin_dir`] was given but lacks the binaries.
    #[error("{} does not hold `postgres` and `initdb`", .0.display())]
    NoBinaries(PathBuf),

    /// Only releases older than 15 were found.
    #[error(
        "PostgreSQL {version} in {} is too old, 15 or newer is needed; install it with \
         `apt install postgresql` on Debian or Ubuntu, `brew install postgresql@17` on macOS",
        bin_dir.display()
    )]
    TooOld {
        /// Where the newest of the old releases was found.
        bin_dir: PathBuf,
        /// Its major version.
        version: u32,
    },

    /// `postgres --version` did not say a version.
    #[error("cannot tell the version of {}: {said}", postgres.display())]
    NoVersion {
        /// The binary that was asked.
        postgres: PathBuf,
        /// What it answered, or why it could not be run.
        said: String,
    },

    /// The cluster was made by a major version that is not installed.
    #[error(
        "the data in {} was made by PostgreSQL {cluster}, but only {found} was found; install \
         PostgreSQL {cluster} (`apt install postgresql-{cluster}`, \
         `brew install postgresql@{cluster}`) or convert the data with pg_upgrade",
        path.display()
    )]
    OtherVersion {
        /// The cluster.
        path: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// The major version of the binaries.
        found: u32,
    },

    /// The place of the cluster holds something else.
    #[error(
        "{} exists but is not a PostgreSQL cluster; move it away or choose another data directory",
        .0.display()
    )]
    NotACluster(PathBuf),

    /// The program is root and there is no user to run the server as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`; \
         run as another user or create one of these"
    )]
    NoServerUser,

    /// A directory keeps the server's user from what it needs.
    #[error(
        "the user {user}, as whom PostgreSQL runs, may not enter {}; allow it with \
         `chmod o+x {}` or choose another place",
        directory.display(), directory.display()
    )]
    NoEntry {
        /// The first directory on the way that refuses.
        directory: PathBuf,
        /// The name or number of the user.
        user: String,
    },

    /// Something that must be the server user's own belongs to another user.
    #[error("{} belongs to user {owner}, not to {expected} as it must", path.display())]
    WrongOwner {
        /// The file or directory.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
        /// The number of the user it should belong to.
        expected: u32,
    },

    /// Another program holds the data directory.
    #[error(
        "another program{} already runs the PostgreSQL server of {}",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), data_dir.display()
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The other program, unless it had not yet said its pid.
        pid: Option<u32>,
    },

    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Initdb {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote.
        output: String,
    },

    /// The server ended before it was ready.
    #[error("PostgreSQL did not start ({status}); the end of {} is:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines it wrote.
        tail: String,
    },

    /// The server was not ready in time and was stopped.
    #[error(
        "PostgreSQL was not ready after {} s; the end of {} is:\n{tail}",
        after.as_secs(), log.display()
    )]
    NotReady {
        /// How long it was waited for.
        after: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines it wrote.
        tail: String,
    },

    /// A server would not end.
    #[error("the PostgreSQL server with pid {pid} does not stop")]
    DoesNotStop {
        /// Its process.
        pid: u32,
    },

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried on which path.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }
}
