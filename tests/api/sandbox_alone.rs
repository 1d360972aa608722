//! `agape sandbox`, as the real program and as a shop's Paystack.

use std::path::Path;
use std::process::Stdio;

use agape::features::auth::Role;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::crash::free_port;
use crate::support::{PAYSTACK_KEY, TestApp};

/// The program, and what it says when it is open. It is killed when it is dropped.
pub struct AloneSandbox {
    program: Child,
    pub url: String,
    pub welcome: String,
}

impl AloneSandbox {
    /// Starts it on `port` with the key of the tests.
    pub async fn start(port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let mut program = Command::new(env!("CARGO_BIN_EXE_agape"))
            .args(["sandbox", "--port", &port])
            .args(arguments)
            .env_clear()
            .env("PAYSTACK_SECRET_KEY", PAYSTACK_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut welcome = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            welcome += &line;
            welcome.push('\n');
            if line.contains("Ctrl-C") {
                break;
            }
        }
        let url = welcome.split_whitespace().find_map(|word| word.strip_suffix(';')).unwrap().to_owned();
        Self { program, url, welcome }
    }

    /// Asks it to end, as the system does, and gives its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.program.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        self.program.wait().await.unwrap().code()
    }
}

/// A shop pays through it, hears of it by its webhooks, and finds it again after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_is_paid_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let port = free_port();
    let shop = TestApp::with(|config| {
        config.payments.provider = "paystack".into();
        config.payments.paystack_url = format!("http://127.0.0.1:{port}");
    })
    .await;
    let hook = format!("{}/api/v1/webhooks/paystack", shop.url);
    let arguments = ["--webhook-url", &hook, "--state", state.to_str().unwrap(), "--magic-amounts"];
    let sandbox = AloneSandbox::start(port, &arguments).await;
    assert_eq!(sandbox.url, format!("http://localhost:{port}"));
    for told in [PAYSTACK_KEY, &hook, "AGAPE_PAYMENTS__PAYSTACK_URL", "_control/faults"] {
        assert!(sandbox.welcome.contains(told), "{told} in {}", sandbox.welcome);
    }

    let admin = shop.staff(Role::Admin).await;
    let product = shop.product(&admin, "A", 1_000, 5).await;
    let ama = shop.customer("ama@example.com").await;
    let order = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &order).await;
    let page = payment["authorizationUrl"].as_str().unwrap();
    assert!(page.starts_with(&sandbox.url), "{page}");
    let shown = shop.get(page).send().await;
    assert!(shown.text.contains("no real money moves") && shown.text.contains("What goes wrong"), "{}", shown.text);
    shop.pay(&payment).await;
    shop.wait_for_status(&ama, &order, "paid").await;
    shop.wait_for_jobs().await;
    assert_eq!(shop.database.count("select count(*) from webhook_events where status = 'processed'").await, 1);

    // The page's choice reaches the shop: the money is there and does not fit.
    let second = shop.order(&ama, &product, 1).await;
    let payment = shop.initialize(&ama, &second).await;
    let page = payment["authorizationUrl"].as_str().unwrap();
    assert_eq!(shop.post(page).form("action=pay&taken=less").send().await.status, 303);
    shop.wait_for("the flag", || async {
        let flagged = "select count(*) from payments where flag_reason = 'paid too little'";
        (shop.database.count(flagged).await == 1).then_some(())
    })
    .await;

    assert_eq!(sandbox.stop().await, Some(0));
    let sandbox = AloneSandbox::start(port, &arguments).await;
    let list = shop.get(&format!("{}/transaction", sandbox.url)).token(PAYSTACK_KEY).send().await;
    assert_eq!(list.body["meta"]["total"], json!(2));
    shop.get(&format!("{}/transaction", sandbox.url)).token("sk_test_x").send().await.expect(401);
}

/// What it cannot do it says, and it makes up a key where there is none.
#[tokio::test]
async fn it_says_what_is_in_its_way() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = |arguments: Vec<String>| async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agape"));
        command.arg("sandbox").args(arguments).env_clear().kill_on_drop(true).output().await.unwrap()
    };
    let output = run(vec!["--port".into(), port]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("choose another with --port"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    std::fs::write(&broken, "{").unwrap();
    let file: &Path = &broken;
    let output = run(vec!["--port".into(), "0".into(), "--state".into(), file.display().to_string()]).await;
    assert_eq!(output.status.code(), Some(1));
    let (welcome, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(told.contains("--state"), "{told}");
    assert!(welcome.contains("sk_test_") && welcome.contains("/api/v1/webhooks/paystack"), "{welcome}");
}
