//! A Redis server of a test, which it may stop, freeze and start again.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running Redis server with nothing in it. It is gone when this is dropped.
pub struct TestRedis {
    dir: tempfile::TempDir,
    server: Option<Child>,
}

impl TestRedis {
    pub fn start() -> Self {
        let mut redis = Self { dir: tempfile::tempdir().unwrap(), server: None };
        redis.start_again();
        redis
    }

    /// The address, which stays the same.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Starts the server after [`Self::stop`], empty.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none());
        self.server = Some(serve(self.dir.path(), &self.socket()));
    }

    /// Kills it, with all it has.
    pub fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    /// It takes connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.server.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Asks it past the shop.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }
}

fn serve(dir: &Path, socket: &Path) -> Child {
    let start = |program: &str| {
        let mut command = Command::new(program);
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(socket)
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let mut server = start("redis-server")
        .or_else(|_| start("valkey-server"))
        .expect("these tests need a Redis or Valkey server; `make test` installs one where it knows how");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        assert!(server.try_wait().unwrap().is_none(), "the Redis server ended at once");
        assert!(Instant::now() < deadline, "the Redis server does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    server
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
