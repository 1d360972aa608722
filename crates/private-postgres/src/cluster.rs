//! The cluster on disk: making it, and reading what its server says of itself.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::user::{ServerUser, die_with_thread};
use crate::{Error, SUPERUSER};

/// Names of clusters in the making start with this.
const UNFINISHED: &str = "postgres.new-";

/// The major version that made `cluster`, or `None` if there is no cluster yet.
pub(crate) fn version(cluster: &Path) -> Result<Option<u32>, Error> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().split('.').next().map(str::parse) {
            Some(Ok(version)) => Ok(Some(version)),
            _ => Err(Error::NotACluster(cluster.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_dir(cluster) {
            // An empty directory is what remains of nothing: take its place.
            Ok(mut entries) => match entries.next() {
                None => Ok(None),
                Some(_) => Err(Error::NotACluster(cluster.to_owned())),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(_) => Err(Error::NotACluster(cluster.to_owned())),
        },
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Makes a cluster. It is made beside its place and moved there when complete,
/// so that whatever interrupts this never leaves half a cluster. The caller
/// holds the lock of `data_dir`.
pub(crate) fn create(
    data_dir: &Path,
    cluster: &Path,
    binaries: &Binaries,
    user: &ServerUser,
    durable: bool,
) -> Result<(), Error> {
    remove_unfinished(data_dir)?;
    // The name is new each time, because what an interrupted initdb started may
    // not have ended yet.
    let unfinished = data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
    tracing::info!(cluster = %cluster.display(), version = binaries.version, "making a PostgreSQL cluster");
    // C.UTF-8 sorts by code point as C does, and knows upper and lower case
    // beyond ASCII. Not every system has it.
    initdb(&unfinished, binaries, user, durable, "C.UTF-8").or_else(|error| {
        tracing::debug!(%error, "the locale C.UTF-8 cannot be used, trying C");
        initdb(&unfinished, binaries, user, durable, "C")
    })?;
    // Renaming replaces an empty directory and nothing else.
    fs::rename(&unfinished, cluster).map_err(Error::io("create", cluster))?;
    if durable {
        File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", data_dir))?;
    }
    Ok(())
}

fn remove_unfinished(data_dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(data_dir).map_err(Error::io("list", data_dir))? {
        let entry = entry.map_err(Error::io("list", data_dir))?;
        if entry.file_name().as_bytes().starts_with(UNFINISHED.as_bytes()) {
            let path = entry.path();
            tracing::info!(path = %path.display(), "removing an unfinished PostgreSQL cluster");
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

fn initdb(target: &Path, binaries: &Binaries, user: &ServerUser, durable: bool, locale: &str) -> Result<(), Error> {
    match fs::remove_dir_all(target) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::io("remove", target)(error));
        }
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(target).map_err(Error::io("create", target))?;
    user.give(target)?;

    let program = binaries.initdb();
    let mut command = user.command(&program);
    command
        .arg("--pgdata")
        .arg(target)
        .args(["--username", SUPERUSER])
        // Whoever can reach the socket is let in; its directory is private.
        .arg("--auth=trust")
        .arg("--encoding=UTF8")
        .arg(format!("--locale={locale}"));
    if !durable {
        command.arg("--no-sync");
    }
    die_with_thread(&mut command, Signal::SIGKILL);
    let output = command.output().map_err(Error::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Initdb { status: output.status, output: String::from_utf8_lossy(&said).trim_end().to_owned() })
}

/// What a server writes about itself into `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    /// The socket's directory, once the socket is there.
    pub(crate) socket_dir: Option<PathBuf>,
    /// Whether the server accepts connections.
    pub(crate) ready: bool,
}

/// The path of `postmaster.pid`.
pub(crate) fn pid_path(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

/// Reads `postmaster.pid`; `None` if there is none or it makes no sense (the
/// server rewrites it in place, so it may be read half-written).
pub(crate) fn pid_file(cluster: &Path) -> Result<Option<PidFile>, Error> {
    let path = pid_path(cluster);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse_pid_file(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

fn parse_pid_file(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    Some(PidFile {
        pid: lines.next()?.trim().parse().ok()?,
        // Lines 2 to 4 are the cluster, the time of the start and the port.
        socket_dir: lines.nth(3).filter(|dir| !dir.is_empty()).map(PathBuf::from),
        // Lines 6 and 7 are the TCP address and the shared memory.
        ready: lines.nth(2).is_some_and(|status| status.trim() == "ready"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files() {
        let ready = "77\n/d/postgres\n1700000000\n5432\n/d/socket\n\n  123  4\nready   \n";
        let socket_dir = Some(PathBuf::from("/d/socket"));
        assert_eq!(parse_pid_file(ready), Some(PidFile { pid: 77, socket_dir, ready: true }));
        let starting = parse_pid_file("77\n/d/postgres\n1700000000\n5432\n").unwrap();
        assert!(!starting.ready && starting.socket_dir.is_none());
        assert_eq!(parse_pid_file(""), None);
        assert_eq!(parse_pid_file("x\n"), None);
    }
}
