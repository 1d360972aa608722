//! The running server.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binaries::{self, Binaries};
use crate::lock::Lock;
use crate::log::Log;
use crate::user::{ServerUser, die_with_thread};
use crate::{Error, Options, cluster, process, socket};

/// How long a start may take, crash recovery included.
const START: Duration = Duration::from_secs(60);

/// A PostgreSQL server of our own. It stops when this is stopped or dropped,
/// and on Linux also when the program is killed.
#[derive(Debug)]
pub struct PrivatePostgres {
    // The order matters: the process must be gone before the lock is.
    process: Process,
    socket_dir: PathBuf,
    bin_dir: PathBuf,
    _lock: Lock,
}

impl PrivatePostgres {
    /// Starts the server of `options.data_dir`, making its cluster if there is
    /// none, and returns when it accepts connections. A server that an earlier
    /// owner left behind is stopped first.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another program owns the server; the other variants
    /// of [`Error`] if it cannot be found, made or started.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let data_dir = make_data_dir(&options.data_dir)?;
        let lock = Lock::take(&data_dir)?;
        let cluster = data_dir.join("postgres");
        let made_by = cluster::version(&cluster)?;
        let binaries = binaries::find(options, made_by)?;
        let user = ServerUser::for_cluster(&cluster)?;
        user.may_enter(&data_dir)?;
        user.may_enter(&binaries.dir)?;

        if made_by.is_none() {
            cluster::create(&data_dir, &cluster, &binaries, &user, options.durable)?;
        }
        clear_the_way(&cluster)?;
        let socket_dir = socket::directory(&data_dir);
        let process = run(options, &data_dir, &cluster, &binaries, &user, &socket_dir)?;
        tracing::info!(
            pid = process.pid,
            version = binaries.version,
            data_dir = %data_dir.display(),
            "PostgreSQL is ready"
        );
        Ok(Self { process, socket_dir, bin_dir: binaries.dir, _lock: lock })
    }

    /// The URL of a database, for sqlx or libpq; whether there is such a
    /// database is not checked. `postgres` always exists.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket_dir, database)
    }

    /// The process of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// The directory of the server's Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The directory of the binaries in use, where `psql` and `pg_dump` of the
    /// same version usually are too.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// Stops the server: open transactions are rolled back, everything
    /// committed is written out. Takes up to a minute if there is much to
    /// write; after that the server is cut off and recovers at its next start.
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotStop`] if the process survives all of this.
    pub fn stop(mut self) -> Result<(), Error> {
        self.process.stop()
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if self.process.stop().is_ok() {
            // So that none of ours stay in /tmp. It is made anew at each start.
            let _ = fs::remove_dir(&self.socket_dir);
        }
    }
}

/// Makes the data directory and returns its one true path, the form in which
/// the server's own files and command line name it.
fn make_data_dir(data_dir: &Path) -> Result<PathBuf, Error> {
    // If we are root, the server's user must get through to its own directories
    // in here; nobody needs to see what else is here.
    let root = nix::unistd::geteuid().is_root();
    let mode = if root { 0o711 } else { 0o700 };
    if !data_dir.is_dir() {
        fs::create_dir_all(data_dir).map_err(Error::io("create", data_dir))?;
        fs::set_permissions(data_dir, Permissions::from_mode(mode))
            .map_err(Error::io("set the permissions of", data_dir))?;
    }
    fs::canonicalize(data_dir).map_err(Error::io("find", data_dir))
}

/// Stops a server that outlived its owner, and removes the pid file of one that
/// died without doing so itself.
fn clear_the_way(cluster: &Path) -> Result<(), Error> {
    if let Some(found) = cluster::pid_file(cluster)?
        && process::serves(found.pid, cluster)
    {
        tracing::warn!(pid = found.pid, "stopping a PostgreSQL server left by an earlier run");
        process::stop_orphan(found.pid, cluster)?;
    }
    // Left by a crash. Its pid may meanwhile be some other process's, which
    // would stop PostgreSQL from starting, or become the new server's, which
    // would make the new server look ready too early. Processes of the dead
    // server, should some remain, are still found through its shared memory.
    let path = cluster::pid_path(cluster);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Starts the server and waits until it is ready.
fn run(
    options: &Options,
    data_dir: &Path,
    cluster: &Path,
    binaries: &Binaries,
    user: &ServerUser,
    socket_dir: &Path,
) -> Result<Process, Error> {
    socket::prepare(socket_dir, user)?;
    let deadline = Instant::now() + START;
    loop {
        let log = Log::open(data_dir)?;
        let mut command = user.command(&binaries.postgres());
        command.arg("-D").arg(cluster);
        for (name, value) in settings(options, socket_dir) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(log.writer()?).stderr(log.writer()?);
        // A fast shutdown: nobody is left to wait for, and a clean end saves
        // the next start from recovery.
        die_with_thread(&mut command, Signal::SIGINT);
        let mut process = Process::spawn(command, &binaries.postgres())?;
        match process.wait_until_ready(cluster, deadline)? {
            State::Ready => return Ok(process),
            State::NotReady => {
                process.stop()?;
                return Err(Error::NotReady { after: START, tail: log.tail(), log: log.path });
            }
            State::Ended(status) => {
                let tail = log.tail();
                // After a `kill -9` of the server its other processes take a
                // moment to notice; until then it will not start again.
                let again = tail.contains("pre-existing shared memory block");
                if !again || Instant::now() >= deadline {
                    let log = log.path;
                    return Err(Error::Ended { status, log, tail });
                }
                std::thread::sleep(process::POLL);
            }
        }
    }
}

/// All settings for the command line; of two with one name the later wins.
fn settings(options: &Options, socket_dir: &Path) -> Vec<(String, String)> {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut all = vec![own("timezone", "UTC"), own("log_timezone", "UTC")];
    if !options.durable {
        all.push(own("fsync", "off"));
        all.push(own("synchronous_commit", "off"));
        all.push(own("full_page_writes", "off"));
    }
    all.extend(options.settings.iter().cloned());
    all.push(own("listen_addresses", ""));
    all.push(own("port", socket::PORT));
    all.push((
        "unix_socket_directories".to_owned(),
        // Plain ASCII, as `socket::directory` sees to.
        socket_dir.to_string_lossy().into_owned(),
    ));
    all.push(own("unix_socket_permissions", "0700"));
    all.push(own("logging_collector", "off"));
    all.push(own("log_destination", "stderr"));
    all
}

/// What became of a server that was started.
enum State {
    Ready,
    NotReady,
    /// It ended, with this status.
    Ended(String),
}

/// The server's process. A thread of its own starts it and waits for its end:
/// the kernel ties the server's life to the thread that started it, so that
/// thread must live as long as the server may.
#[derive(Debug)]
struct Process {
    pid: u32,
    /// Hears once, from the thread, how the process ended.
    ended: Receiver<String>,
    /// Cleared when it has ended or is given up.
    running: bool,
}

impl Process {
    fn spawn(mut command: Command, program: &Path) -> Result<Self, Error> {
        let (tell_started, started) = mpsc::channel();
        let (tell_ended, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                let child = command.spawn();
                // The command holds handles of the log file.
                drop(command);
                let mut child = match child {
                    Ok(child) => child,
                    Err(error) => {
                        let _ = tell_started.send(Err(error));
                        return;
                    }
                };
                // Neither message is missed if there is no one to hear it.
                let _ = tell_started.send(Ok(child.id()));
                let status = match child.wait() {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                let _ = tell_ended.send(status);
            })
            .map_err(Error::io("start a thread for", program))?;
        let pid = match started.recv() {
            Ok(result) => result.map_err(Error::io("run", program))?,
            Err(_) => {
                return Err(Error::io("run", program)(std::io::Error::other("its thread ended")));
            }
        };
        Ok(Self { pid, ended, running: true })
    }

    /// Waits at most `patience` for the process to end.
    fn ends_within(&mut self, patience: Duration) -> Option<String> {
        let status = match self.ended.recv_timeout(patience) {
            Ok(status) => status,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => "unknown status".to_owned(),
        };
        self.running = false;
        Some(status)
    }

    fn wait_until_ready(&mut self, cluster: &Path, deadline: Instant) -> Result<State, Error> {
        loop {
            // The file may still be that of an earlier server.
            let ours = cluster::pid_file(cluster)?.filter(|found| found.pid == self.pid);
            if ours.is_some_and(|found| found.ready) {
                return Ok(State::Ready);
            }
            if let Some(status) = self.ends_within(process::START_POLL) {
                return Ok(State::Ended(status));
            }
            if Instant::now() >= deadline {
                return Ok(State::NotReady);
            }
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        for (how, patience) in [(Signal::SIGINT, process::FAST), (Signal::SIGQUIT, process::IMMEDIATE)] {
            // It may have ended by itself meanwhile.
            if !self.running || self.ends_within(Duration::ZERO).is_some() {
                return Ok(());
            }
            process::signal(self.pid, how);
            if self.ends_within(patience).is_some() {
                return Ok(());
            }
            tracing::warn!(pid = self.pid, signal = %how, "PostgreSQL does not stop");
        }
        tracing::error!(pid = self.pid, "a PostgreSQL server is left behind");
        self.running = false;
        Err(Error::DoesNotStop { pid: self.pid })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What goes wrong has been logged, and nobody is left to tell.
        let _ = self.stop();
    }
}
