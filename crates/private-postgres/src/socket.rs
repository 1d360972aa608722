//! The directory of the Unix socket, and URLs that lead to it.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::user::ServerUser;
use crate::{Error, SUPERUSER};

/// No port is opened; the number is only part of the socket's name.
pub(crate) const PORT: &str = "5432";
const SOCKET: &str = ".s.PGSQL.5432";
/// The longest socket path, in bytes, that both Linux (107) and macOS accept.
const LONGEST: usize = 103;

/// Where the socket of `data_dir` goes: into it if the path is short and plain
/// enough, else into a directory of its own under `/tmp` whose name follows
/// from `data_dir`. Not `$TMPDIR`, which may differ between two starts.
pub(crate) fn directory(data_dir: &Path) -> PathBuf {
    let inside = data_dir.join("socket");
    let bytes = inside.as_os_str().as_bytes();
    // PostgreSQL reads a comma-separated list with quotes here; clients read a
    // URL. Plain characters mean the same to all of them.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(byte);
    if bytes.len() + 1 + SOCKET.len() <= LONGEST && bytes.iter().all(plain) {
        return inside;
    }
    PathBuf::from(format!("/tmp/private-postgres-{:016x}", fnv1a(data_dir.as_os_str().as_bytes())))
}

/// A hash that stays the same from one build to the next (FNV-1a).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes the directory, for nobody but the server's user (and root), and clears
/// away the socket of a server that no longer runs.
pub(crate) fn prepare(directory: &Path, user: &ServerUser) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", directory)(error)),
    }
    // Anyone may make a directory in /tmp beforehand, or a link to one.
    let found = fs::symlink_metadata(directory).map_err(Error::io("read", directory))?;
    if !found.is_dir() {
        return Err(Error::io("use", directory)(std::io::Error::from(ErrorKind::NotADirectory)));
    }
    if found.uid() == geteuid().as_raw() {
        user.give(directory)?;
    } else if found.uid() != user.uid() {
        return Err(Error::WrongOwner { path: directory.to_owned(), owner: found.uid(), expected: user.uid() });
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(Error::io("make private", directory))?;
    }
    // The lock file names a pid, which by now may be some other process's; the
    // server would believe that this is another server.
    for name in [SOCKET.to_owned(), format!("{SOCKET}.lock")] {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A URL for sqlx and libpq alike. Port and TLS mode are spelt out so that
/// `PGPORT` and `PGSSLMODE` in a client's environment do not matter.
pub(crate) fn url(directory: &Path, database: &str) -> String {
    format!(
        "postgres://{SUPERUSER}@localhost:{PORT}/{}?host={}&sslmode=disable",
        encode(database.as_bytes()),
        encode(directory.as_os_str().as_bytes()),
    )
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_or_odd_paths_get_a_short_directory() {
        assert_eq!(directory(Path::new("/srv/shop")), Path::new("/srv/shop/socket"));
        let long = PathBuf::from(format!("/srv/{}", "x".repeat(100)));
        for odd in [long.as_path(), Path::new("/srv/a,b"), Path::new("/srv/é")] {
            let short = directory(odd);
            assert!(short.starts_with("/tmp"), "{}", short.display());
            assert_eq!(short, directory(odd));
        }
        assert_ne!(directory(Path::new("/srv/a,b")), directory(Path::new("/srv/a,c")));
    }

    #[test]
    fn url_is_encoded() {
        assert_eq!(
            url(Path::new("/srv/a b"), "one/two"),
            "postgres://agape@localhost:5432/one%2Ftwo?host=%2Fsrv%2Fa%20b&sslmode=disable"
        );
    }
}
