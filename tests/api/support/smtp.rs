//! A mail server that keeps what it is given, and fails on demand (RFC 5321).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    /// Head and body, as they were sent.
    pub data: String,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// What the next mails are answered with instead of being taken.
    refusals: Vec<&'static str>,
}

/// A running mail server.
#[derive(Clone)]
pub struct FakeSmtp {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeSmtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    /// Answers the next mails with these lines, one each.
    pub fn refuse(&self, answers: &[&'static str]) {
        self.state.lock().unwrap().refusals.extend(answers);
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    async fn serve(self, stream: TcpStream) {
        let (input, mut output) = stream.into_split();
        let mut lines = BufReader::new(input).lines();
        let mut mail = Received { from: String::new(), to: Vec::new(), data: String::new() };
        let mut is_data = false;
        if output.write_all(b"220 fake ESMTP\r\n").await.is_err() {
            return;
        }
        // Ends when the client hangs up.
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = if is_data {
                if line == "." {
                    is_data = false;
                    self.take(std::mem::replace(
                        &mut mail,
                        Received { from: String::new(), to: Vec::new(), data: String::new() },
                    ))
                } else {
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.data.push('\n');
                    continue;
                }
            } else {
                match line.split([' ', ':']).next().unwrap_or_default().to_uppercase().as_str() {
                    "EHLO" => "250-fake\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
                    "AUTH" => "235 welcome\r\n",
                    "MAIL" => {
                        mail.from = line;
                        "250 ok\r\n"
                    }
                    "RCPT" => {
                        mail.to.push(line);
                        "250 ok\r\n"
                    }
                    "DATA" => {
                        is_data = true;
                        "354 go on\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    "NOOP" | "RSET" => "250 ok\r\n",
                    _ => "502 unknown\r\n",
                }
            };
            if output.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn take(&self, mail: Received) -> &'static str {
        let mut state = self.state.lock().unwrap();
        if !state.refusals.is_empty() {
            return state.refusals.remove(0);
        }
        state.received.push(mail);
        "250 taken\r\n"
    }
}
