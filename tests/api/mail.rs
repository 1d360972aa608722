//! Mails that leave the house.

use secrecy::SecretString;
use serde_json::json;

use crate::support::{FakeSmtp, TestApp};

const AMA: &str = "ama@example.com";

/// A shop that hands its mails to this server.
async fn shop(server: &FakeSmtp) -> TestApp {
    let address = server.address;
    TestApp::with(move |config| {
        config.mail.provider = "smtp".into();
        config.mail.smtp_url = SecretString::from(format!("smtp://shop:p%40ss@{address}"));
        config.mail.from = "Shop <orders@shop.example>".into();
    })
    .await
}

async fn statuses(shop: &TestApp) -> Vec<(String, String)> {
    sqlx::query_as("select status, coalesce(error, '') from emails order by created_at, id")
        .fetch_all(&shop.database.pool)
        .await
        .unwrap()
}

/// The mails of verification and reset arrive at the mail server, as text and HTML, with links that work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_reach_a_mail_server() {
    let server = FakeSmtp::start().await;
    let shop = shop(&server).await;
    shop.customer(AMA).await;
    shop.post("/auth/password-reset-request").json(&json!({"email": AMA})).send().await.expect(200);
    shop.wait_for_jobs().await;
    let received = server.received();
    assert_eq!(received.len(), 2, "{received:#?}");
    for mail in &received {
        assert!(mail.from.contains("<orders@shop.example>"), "{}", mail.from);
        assert_eq!(mail.to.len(), 1);
        assert!(mail.to[0].contains("<ama@example.com>"), "{:?}", mail.to);
        for part in ["From: Shop <orders@shop.example>", "To: ama@example.com", "Subject: ", "@shop.example>", "Date: "]
        {
            assert!(mail.data.contains(part), "{part}: {}", mail.data);
        }
        assert!(mail.data.contains("multipart/alternative"), "{}", mail.data);
        assert!(mail.data.contains("text/plain") && mail.data.contains("text/html"), "{}", mail.data);
    }
    let sent = statuses(&shop).await;
    assert!(sent.iter().all(|(status, error)| status == "sent" && error.is_empty()), "{sent:?}");
    // Lines of a mail are folded with an = at their end, and an = itself is =3D.
    let verification = received.iter().find(|mail| mail.data.contains("verify-email")).unwrap();
    let text = verification.data.replace("=\n", "").replace("=3D", "=");
    let token: String = text
        .split("/verify-email?token=")
        .nth(1)
        .unwrap_or_else(|| panic!("no link in {text}"))
        .chars()
        .take_while(char::is_ascii_hexdigit)
        .collect();
    shop.post("/auth/verify-email").json(&json!({"token": token})).send().await.expect(200);
    // They are nobody else's to read.
    assert!(!shop.get("//dev/mail").send().await.text.contains(AMA));
}

/// A server that is busy gets the mail later, once; one that will not have it ends the matter, and the log says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_gets_the_mail_later_and_a_refusal_is_kept() {
    let server = FakeSmtp::start().await;
    let shop = shop(&server).await;
    server.refuse(&["451 busy\r\n"]);
    shop.customer(AMA).await;
    shop.wait_for("the mail", || async { (server.received().len() == 1).then_some(()) }).await;
    shop.wait_for_jobs().await;
    assert_eq!(server.received().len(), 1);
    server.refuse(&["550 no such person\r\n"]);
    shop.customer("kofi@example.com").await;
    shop.wait_for_jobs().await;
    assert_eq!(server.received().len(), 1);
    let [(sent, _), (failed, why)] = &statuses(&shop).await[..] else { panic!("two mails") };
    assert_eq!((sent.as_str(), failed.as_str()), ("sent", "failed"));
    assert!(why.contains("550") || why.contains("no such person"), "{why}");
}
