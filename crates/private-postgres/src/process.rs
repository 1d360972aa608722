//! Processes other than our own children.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a condition that cannot be waited for is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How often a server that starts is looked at: somebody waits for it.
pub(crate) const START_POLL: Duration = Duration::from_millis(1);
/// How long a server gets for a fast shutdown, whose last act is to write all
/// changed pages to disk.
pub(crate) const FAST: Duration = Duration::from_secs(60);
/// How long a server gets for an immediate shutdown. It kills what is left of
/// its own processes after 5 s.
pub(crate) const IMMEDIATE: Duration = Duration::from_secs(15);

/// A pid as the system calls want it.
fn native(pid: u32) -> Option<Pid> {
    // 0 and -1 would address whole groups of processes.
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let Some(native) = native(pid) else { return };
    match kill(native, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(pid, %signal, %error, "cannot signal PostgreSQL"),
    }
}

/// Whether `pid` is a server of `cluster`: its pid alone proves nothing, since
/// pids are used again. A dead process that nobody has waited for is not one.
pub(crate) fn serves(pid: u32, cluster: &Path) -> bool {
    native(pid).is_some() && command_line_names(pid, cluster)
}

#[cfg(target_os = "linux")]
fn command_line_names(pid: u32, cluster: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|argument| argument == cluster.as_os_str().as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn command_line_names(pid: u32, cluster: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    let wanted = cluster.as_os_str().as_bytes();
    std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .is_ok_and(|ps| ps.stdout.windows(wanted.len()).any(|part| part == wanted))
}

/// Stops a server that is not our child. The server must be one of `cluster`.
pub(crate) fn stop_orphan(pid: u32, cluster: &Path) -> Result<(), crate::Error> {
    for (how, patience) in [(Signal::SIGINT, FAST), (Signal::SIGQUIT, IMMEDIATE)] {
        signal(pid, how);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(pid, cluster) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
    Err(crate::Error::DoesNotStop { pid })
}
