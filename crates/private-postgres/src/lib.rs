//! Finds, initialises, starts and stops a private PostgreSQL server.
//!
//! A server started here belongs to one program: it lives in that program's
//! data directory, listens on a Unix socket in a private directory and on
//! nothing else, and goes away with the program. PostgreSQL itself is not
//! bundled; its binaries must be installed, and nobody needs to configure them.
//!
//! What is kept under [`Options::data_dir`]:
//!
//! | name            | what it is                                           |
//! |-----------------|------------------------------------------------------|
//! | `postgres/`     | the cluster, an ordinary PostgreSQL data directory   |
//! | `socket/`       | the Unix socket (elsewhere if the path is too long)  |
//! | `postgres.log`  | what the server writes to its standard error         |
//! | `postgres.lock` | held while a program owns the server; holds its pid  |
//!
//! PostgreSQL refuses to run as root. When the program is root, the server runs
//! as the owner of the cluster, which for a new one is the user `postgres` or,
//! where there is none, `nobody`. Otherwise it runs as the program's own user.
//!
//! Every call blocks; from async code use a thread meant for blocking.
//!
//! ```no_run
//! use private_postgres::{Options, PrivatePostgres};
//!
//! let mut options = Options::new("/var/lib/shop");
//! options.search_path = std::env::var_os("PATH");
//! let server = PrivatePostgres::start(&options)?;
//! println!("{}", server.url("postgres"));
//! server.stop()?;
//! # Ok::<(), private_postgres::Error>(())
//! ```

mod attach;
mod binaries;
mod cluster;
mod error;
mod lock;
mod log;
mod process;
mod server;
mod socket;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;

pub use attach::{Attached, attach};
pub use error::Error;
pub use server::PrivatePostgres;

/// The name of the database superuser of every cluster made here.
pub const SUPERUSER: &str = "agape";

/// Where a private server lives and how it is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that holds everything; made if it is missing.
    pub data_dir: PathBuf,
    /// Whether what is committed must survive a crash. `false` is for tests and
    /// other throw-away data: it is faster, a crash of the server loses what was
    /// committed in its last second, and a crash of the machine may leave the
    /// cluster unusable.
    pub durable: bool,
    /// The directory of `postgres` and `initdb`. When given, it is the only
    /// place looked at.
    pub bin_dir: Option<PathBuf>,
    /// A list of directories in the form of the `PATH` variable, looked through
    /// before the places where PostgreSQL is usually installed.
    pub search_path: Option<OsString>,
    /// Server settings as in `postgresql.conf`, name and value. The settings
    /// that keep the server private (addresses, port, socket, log) are not
    /// theirs to change.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A durable server in `data_dir` with PostgreSQL's own settings, its
    /// binaries taken from the usual places.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durable: true, bin_dir: None, search_path: None, settings: Vec::new() }
    }
}
