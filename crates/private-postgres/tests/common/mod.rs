//! What the tests share: directories, SQL through `psql`, and waiting.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use private_postgres::Options;
use tempfile::TempDir;

/// Names the data directory to the test that is run as a program of its own.
pub(crate) const HOLD: &str = "PRIVATE_POSTGRES_TEST_HOLD";

/// A directory which the server's user may enter if the tests run as root.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    directory
}

/// Options for a server in `data_dir`.
pub(crate) fn options(data_dir: &Path) -> Options {
    let mut options = Options::new(data_dir);
    options.durable = false;
    options.bin_dir = std::env::var_os("PG_BIN").map(PathBuf::from);
    options.search_path = std::env::var_os("PATH");
    options
}

fn psql(url: &str, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command.args(["-X", "-At", "-v", "ON_ERROR_STOP=1", url, "-c", sql]).stdin(Stdio::null());
    command
}

/// Runs a statement and returns what it answers.
pub(crate) fn sql(url: &str, sql: &str) -> String {
    let output = psql(url, sql).output().unwrap();
    assert!(output.status.success(), "{sql}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Starts a statement without waiting for it.
pub(crate) fn sql_in_background(url: &str, sql: &str) -> Child {
    let mut command = psql(url, sql);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until `condition` holds, and fails if it takes too long.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the test `ends_with_its_owner` as a program that owns the server of
/// `data_dir` until it is killed or its input ends.
pub(crate) fn hold(data_dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends_with_its_owner"])
        .env(HOLD, data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Sends a signal.
pub(crate) fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Whether there is no process with this pid.
pub(crate) fn gone(pid: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_err()
}
