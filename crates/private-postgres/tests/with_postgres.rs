//! The program `with-postgres`.
#![expect(clippy::unwrap_used, reason = "a failed test may panic anywhere")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn with_postgres(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
    command.args(["--", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The server's directory, out of the URL of its socket.
fn directory(url: &str) -> String {
    let (_, after) = url.split_once("host=").unwrap();
    let (host, _) = after.split_once('&').unwrap();
    let socket_dir = host.replace("%2F", "/");
    socket_dir.strip_suffix("/socket").unwrap().to_owned()
}

#[test]
fn gives_the_command_a_server_and_returns_its_code() {
    let script = "echo $AGAPE_TEST_POSTGRES; psql -X -At $AGAPE_TEST_POSTGRES -c 'select 6 * 7'; \
                  exit 7";
    let output = with_postgres(script).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8(output.stdout).unwrap();
    let (url, answer) = said.trim().split_once('\n').unwrap();
    assert_eq!(answer, "42");
    let directory = directory(url);
    assert!(directory.starts_with("/tmp/with-postgres-"), "{directory}");
    assert!(!Path::new(&directory).exists());
}

#[test]
fn passes_signals_on_and_still_cleans_up() {
    for (signal, code) in [(Signal::SIGTERM, 9), (Signal::SIGINT, 10)] {
        let script = "trap 'exit 9' TERM; trap 'exit 10' INT; \
                      echo $AGAPE_TEST_POSTGRES; while :; do sleep 0.05; done";
        let mut program = with_postgres(script).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let pid = Pid::from_raw(i32::try_from(program.id()).unwrap());
        kill(pid, signal).unwrap();
        assert_eq!(program.wait().unwrap().code(), Some(code));
        assert!(!Path::new(&directory(url.trim())).exists());
    }
}
