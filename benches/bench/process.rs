//! The servers under load, each a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first "ready".
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts agape and waits until it is ready. Without a database's address it uses its private one.
    pub(crate) fn agape(
        binary: &Path,
        data_dir: &Path,
        database: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(binary);
        // No setting of the caller's shop may come along.
        let own: Vec<_> =
            std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("AGAPE")).collect();
        command
            .arg("serve")
            .env_clear()
            .envs(own)
            .env("PORT", port.to_string())
            .env("DATABASE_URL", database)
            .env("AGAPE_DATA_DIR", data_dir)
            .env("AGAPE_LOG__FILTER", "warn")
            // All load comes from one address.
            .env("AGAPE_LIMITS__PUBLIC_PER_MINUTE", "0")
            .env("AGAPE_LIMITS__AUTH_PER_MINUTE", "0")
            .envs(settings.iter().copied())
            .stdout(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot run {}", binary.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self { child, address, ready_after: Duration::ZERO };
        while !is_ready(address) {
            ensure!(server.child.try_wait()?.is_none(), "agape ended before it was ready");
            ensure!(started.elapsed() < PATIENCE, "agape is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Starts this program as the bare server.
    pub(crate) fn hello() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg("--hello").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the hello server did not tell its address")?;
        Ok(Self { child, address, ready_after: Duration::ZERO })
    }

    /// Stops it as an operator does, and waits for its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill(self.pid()?, Signal::SIGTERM)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "agape ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        anyhow::bail!("agape does not stop")
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// Memory that is in use now, in KiB.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let pid = self.child.id();
        let text = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(str::to_owned)?,
            // macOS has no /proc.
            Err(_) => {
                let ps = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().ok()?;
                String::from_utf8(ps.stdout).ok()?
            }
        };
        text.trim().trim_end_matches("kB").trim().parse().ok()
    }

    /// Processor time since its start, where /proc tells it.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name may hold spaces; the fields after it do not. utime and stime are the 14th and 15th of all.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        // Linux reports these in hundredths of a second, whatever the kernel's own clock does.
        Some(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// The yardstick of HTTP: the same framework and runtime, and nothing to do.
pub(crate) fn serve_hello() -> anyhow::Result<()> {
    async fn hello() -> axum::Json<serde_json::Value> {
        axum::Json(serde_json::json!({ "message": "hello" }))
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, axum::Router::new().route("/", axum::routing::get(hello))).await?;
        Ok(())
    })
}
