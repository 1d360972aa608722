//! `with-postgres -- COMMAND ARGS…` runs a command beside a throw-away
//! PostgreSQL server. The command finds the server's URL in
//! `AGAPE_TEST_POSTGRES`, and `psql` and the like in its `PATH`. The exit code is
//! the command's; the server and its files are gone afterwards. The server's
//! binaries are taken from `PG_BIN` if that is set.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use private_postgres::{Options, PrivatePostgres};

const USAGE: &str = "usage: with-postgres -- COMMAND ARGS…";
/// The exit codes of shells: cannot run the command, and killed by a signal.
const CANNOT_RUN: u8 = 127;
const KILLED: i32 = 128;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "--") {
        arguments.next();
    }
    let Some(program) = arguments.next() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&program, arguments) {
        Ok(status) => exit_code(status),
        Err(message) => {
            eprintln!("with-postgres: {message}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

/// Runs the command beside a server.
fn run(program: &OsString, arguments: impl Iterator<Item = OsString>) -> Result<ExitStatus, String> {
    // Blocked in all threads, the signals wait for the one that takes them: a
    // signal never ends this program before it has cleaned up.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().map_err(|error| format!("cannot block signals: {error}"))?;

    let directory = Directory::create()?;
    let mut options = Options::new(&directory.0);
    options.durable = false;
    options.bin_dir = std::env::var_os("PG_BIN").map(PathBuf::from);
    options.search_path = std::env::var_os("PATH");
    options.settings = vec![("max_connections".to_owned(), "200".to_owned())];
    let server = PrivatePostgres::start(&options).map_err(|error| error.to_string())?;

    // Last, so that nothing of the command's own PATH is hidden.
    let mut path = options.search_path.unwrap_or_default();
    path.push(":");
    path.push(server.bin_dir());
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).env("AGAPE_TEST_POSTGRES", server.url("postgres"));
    unblock_in_child(&mut command, signals);
    let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", Path::new(program).display()))?;
    forward(signals, &child)?;
    let status = child.wait().map_err(|error| error.to_string())?;
    server.stop().map_err(|error| error.to_string())?;
    Ok(status)
}

/// Blocked signals are inherited; the command must get its own again.
fn unblock_in_child(command: &mut Command, signals: SigSet) {
    #[expect(
        unsafe_code,
        reason = "only code in the child can unblock its signals; it makes one \
                  async-signal-safe system call and allocates nothing"
    )]
    // SAFETY: the closure does nothing that is forbidden between fork and exec.
    unsafe {
        command.pre_exec(move || signals.thread_unblock().map_err(io::Error::from));
    }
}

/// Passes signals on to the command for as long as this program runs.
fn forward(signals: SigSet, child: &Child) -> Result<(), String> {
    let child = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                // A terminal has sent these two to the command as well, and
                // many programs take a second Ctrl-C for impatience.
                let typed = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && io::stdin().is_terminal();
                if !typed {
                    // It may just have ended.
                    let _ = kill(Pid::from_raw(child), signal);
                }
            }
        })
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| KILLED + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The server's directory, removed when dropped, which is after the server.
struct Directory(PathBuf);

impl Directory {
    /// Makes a directory under `/tmp`: the path of the socket must be short.
    fn create() -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = PathBuf::from(format!("/tmp/with-postgres-{}-{:x}", std::process::id(), now.as_micros()));
        // If we are root, the server's own user must get through.
        DirBuilder::new()
            .mode(0o711)
            .create(&path)
            .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("with-postgres: cannot remove {}: {error}", self.0.display());
        }
    }
}
