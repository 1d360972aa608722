//! What the README and `.env.example` promise, tried out, so that they cannot rot.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use agape::platform::config::Settings;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// The `agape` that was built with this test.
const AGAPE: &str = env!("CARGO_BIN_EXE_agape");

/// A block of the tour: commands, and the lines that they print, with `…` for what differs each time.
#[derive(Debug, Default)]
struct Step {
    commands: String,
    expected: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tour() -> Vec<Step> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let tour = readme.split("\n## ").find(|section| section.starts_with("A five-minute tour")).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut block = None;
    for line in tour.lines() {
        match (block, line) {
            (None, "```sh") => {
                steps.push(Step::default());
                block = Some("sh");
            }
            (None, "```text") => block = Some("text"),
            (Some(_), "```") => block = None,
            (Some("sh"), line) => {
                let step = steps.last_mut().unwrap();
                step.commands.push_str(line);
                step.commands.push('\n');
            }
            (Some(_), line) => steps.last_mut().unwrap().expected.push(line.to_owned()),
            (None, _) => {}
        }
    }
    steps
}

/// Whether `line` is `pattern`, in which `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap()) else { return false };
    let mut open_end = false;
    for part in parts {
        open_end = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    open_end || rest.is_empty()
}

/// A shop started as `make run` starts it, in an empty directory. It is stopped, and waited for, with `stop`.
struct Shop {
    process: Child,
    data_dir: tempfile::TempDir,
    port: u16,
}

impl Shop {
    async fn start() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        // As root, PostgreSQL runs as another user, who has to get there.
        std::fs::set_permissions(data_dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut process = Self::command(data_dir.path(), port)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let opened = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("is open at") {
                    // Nobody reads the rest, and the server has to bear it.
                    return;
                }
            }
            panic!("the shop did not open");
        };
        tokio::time::timeout(Duration::from_secs(60), opened).await.expect("the shop takes too long to open");
        Self { process, data_dir, port }
    }

    /// `agape` with no setting but where it may be: those of the person who tests stay out.
    fn command(data_dir: &Path, port: u16) -> Command {
        let mut command = Command::new(AGAPE);
        Self::isolate(&mut command, data_dir, port);
        command
    }

    fn isolate(command: &mut Command, data_dir: &Path, port: u16) {
        for (name, _) in std::env::vars() {
            if name.starts_with("AGAPE_") || matches!(name.as_str(), "DATABASE_URL" | "PAYSTACK_SECRET_KEY") {
                command.env_remove(name);
            }
        }
        command.env("AGAPE_DATA_DIR", data_dir.join("data")).env("PORT", port.to_string()).current_dir(root());
    }

    async fn stop(mut self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(40), self.process.wait()).await;
        assert!(ended.expect("the shop does not stop").unwrap().success());
        assert!(!self.data_dir.path().join("data/postgres/postmaster.pid").exists(), "PostgreSQL runs on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_works_as_printed() {
    let steps = tour();
    assert!(steps.len() >= 8, "{steps:#?}");
    let shop = Shop::start().await;
    let here = |text: &str| {
        text.replace("http://localhost:3000", &format!("http://localhost:{}", shop.port))
            .replace("./target/release/agape", AGAPE)
    };

    const END: &str = "---- end of step ----";
    let mut bash = Command::new("bash");
    Shop::isolate(&mut bash, shop.data_dir.path(), shop.port);
    let mut bash = bash
        .args(["-euo", "pipefail"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = bash.stdin.take().unwrap();
    let mut output = BufReader::new(bash.stdout.take().unwrap()).lines();
    for step in &steps {
        let script = format!("{}echo\necho '{END}'\n", here(&step.commands));
        input.write_all(script.as_bytes()).await.unwrap();
        let mut printed = Vec::new();
        loop {
            let line = tokio::time::timeout(Duration::from_secs(60), output.next_line()).await;
            match line.expect("a command of the tour takes too long").unwrap() {
                Some(line) if line == END => break,
                Some(line) if line.is_empty() => {}
                Some(line) => printed.push(line),
                None => panic!("a command failed in:\n{}\nAfter printing:\n{}", step.commands, printed.join("\n")),
            }
        }
        let expected: Vec<String> = step.expected.iter().map(|line| here(line)).collect();
        let fit = printed.len() == expected.len() && printed.iter().zip(&expected).all(|(line, like)| fits(line, like));
        assert!(fit, "{}\nprinted:\n{}\ninstead of:\n{}", step.commands, printed.join("\n"), expected.join("\n"));
    }
    drop(input);
    assert!(bash.wait().await.unwrap().success());

    // A second one beside it says so and leaves it alone.
    let second = Shop::command(shop.data_dir.path(), shop.port).arg("serve").output().await.unwrap();
    let words = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains("runs already"), "{words}");
    let other_port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let second = Shop::command(shop.data_dir.path(), other_port).arg("serve").output().await.unwrap();
    let words = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains("already runs the PostgreSQL server"), "{words}");
    let alive = reqwest::get(format!("http://localhost:{}/readyz", shop.port)).await.unwrap();
    assert_eq!(alive.status(), 200);

    // What the database logs about a refused row does not say whose it is.
    let again = serde_json::json!({"email": "test@example.com", "password": "Test@1234", "name": "Test User"});
    let register = format!("http://localhost:{}/api/v1/auth/register", shop.port);
    let refused = reqwest::Client::new().post(register).json(&again).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    let log = std::fs::read_to_string(shop.data_dir.path().join("data/postgres.log")).unwrap();
    assert!(log.contains("duplicate key") && !log.contains("test@example.com"), "{log}");
    shop.stop().await;
}

#[test]
fn a_pattern_fits() {
    assert!(fits("order AGP1 at X", "order AGP… at X") && fits("{\"a\":1}", "{\"a\"…") && fits("x", "x"));
    assert!(!fits("order AGP1 at X!", "order AGP… at X") && !fits("y", "x") && !fits("xy", "x"));
}

const WELL_KNOWN: [&str; 8] = [
    "AGAPE_ENV",
    "PORT",
    "DATABASE_URL",
    "PG_BIN",
    "REDIS_URL",
    "PAYSTACK_SECRET_KEY",
    "CLOUDINARY_URL",
    "AGAPE_DATA_DIR",
];

#[test]
fn every_variable_of_the_example_exists() {
    let text = std::fs::read_to_string(root().join(".env.example")).unwrap();
    let mut names = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        if !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            continue;
        }
        names.push(name.to_owned());
        // This one is an option of the command line.
        if name != "AGAPE_CONFIG" {
            let settings = Settings::load(None, &BTreeMap::from([(name.to_owned(), value.to_owned())]));
            let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
            assert_ne!(settings.masked(), String::new());
            // A name that is not known is not a fault, so it has to change something, or be the default.
            let key = name.strip_prefix("AGAPE_").filter(|rest| rest.contains("__"));
            assert!(key.is_some() || WELL_KNOWN.contains(&name), "{name} is no setting");
            if name != "AGAPE_PAYMENTS__PROVIDER" {
                settings.config().unwrap_or_else(|faults| panic!("{name}: {faults}"));
            }
        }
    }
    for name in WELL_KNOWN {
        assert!(names.iter().any(|known| known == name), "{name} is missing");
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut missing = Vec::new();
    for document in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/database.md"] {
        let path = root().join(document);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split('#').next().unwrap();
            if !link.contains("://") && !file.is_empty() && !path.parent().unwrap().join(file).exists() {
                missing.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
