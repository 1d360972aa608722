//! A light load generator: connections that are always busy, all on this one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::seed;

/// How the server is loaded.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) clients: u64,
    pub(crate) seconds: Duration,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Requests {
    /// The root.
    Hello,
    /// A product by its slug, another one each time.
    Product,
    /// Always this.
    Path(&'static str),
    /// An order of two variants, others each time.
    Order,
    /// An order of one piece of always the same variant.
    HotOrder,
    /// A new account, the one that logins are for.
    Register,
    /// The right password.
    Login,
    /// The right address, a wrong password.
    WrongPassword,
    /// An address without an account.
    UnknownAddress,
}

impl Load {
    /// Answers a second.
    pub(crate) async fn run(&self, requests: &Requests) -> anyhow::Result<f64> {
        let mut clients = JoinSet::new();
        let started = Instant::now();
        let end = started + self.seconds;
        for number in 0..self.clients {
            clients.spawn(client(self.address, *requests, number, end));
        }
        let mut answers = 0;
        while let Some(client) = clients.join_next().await {
            answers += client??;
        }
        Ok(f64::from(answers) / started.elapsed().as_secs_f64())
    }
}

/// How long each of these takes, asked by turns on one connection, `times` times each.
pub(crate) async fn by_turns(
    address: SocketAddr,
    requests: &[Requests],
    times: usize,
) -> anyhow::Result<Vec<Vec<Duration>>> {
    let mut stream = TcpStream::connect(address).await.context("the server cannot be reached")?;
    stream.set_nodelay(true)?;
    let (mut random, mut request, mut answer) = (Random(1), Vec::with_capacity(1024), vec![0; 256 * 1024]);
    let mut took = vec![Vec::with_capacity(times); requests.len()];
    for _ in 0..times {
        for (requests, took) in requests.iter().zip(&mut took) {
            request.clear();
            requests.write(&mut random, &mut request);
            let started = Instant::now();
            stream.write_all(&request).await?;
            read_answer(&mut stream, &mut answer, requests.status()).await?;
            took.push(started.elapsed());
        }
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    Ok(took)
}

/// Writes a request with a JSON body.
fn post(request: &mut Vec<u8>, path: &str, body: &str) -> std::io::Result<()> {
    use std::io::Write;
    write!(
        request,
        "POST /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn client(address: SocketAddr, requests: Requests, number: u64, end: Instant) -> anyhow::Result<u32> {
    let mut stream = TcpStream::connect(address).await.context("the server cannot be reached")?;
    stream.set_nodelay(true)?;
    let mut random = Random(number + 1);
    let (mut request, mut answer) = (Vec::with_capacity(1024), vec![0; 256 * 1024]);
    let mut answers = 0;
    while Instant::now() < end {
        request.clear();
        requests.write(&mut random, &mut request);
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut answer, requests.status()).await?;
        answers += 1;
    }
    Ok(answers)
}

impl Requests {
    fn status(self) -> &'static [u8] {
        match self {
            Self::Hello | Self::Product | Self::Path(_) | Self::Login => b"200",
            Self::Order | Self::HotOrder | Self::Register => b"201",
            Self::WrongPassword | Self::UnknownAddress => b"401",
        }
    }

    fn write(self, random: &mut Random, request: &mut Vec<u8>) {
        use std::io::Write;
        let wrote = match self {
            Self::Hello => write!(request, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            Self::Product => {
                let product = 1 + random.below(seed::PRODUCTS);
                write!(request, "GET /api/v1/products/product-{product} HTTP/1.1\r\nhost: localhost\r\n\r\n")
            }
            Self::Path(path) => write!(request, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            Self::Order => {
                // The same choice as pgbench's: one of each half.
                let half = seed::VARIANTS / 2;
                let (first, second) = (1 + random.below(half), half + 1 + random.below(half));
                post(request, "orders", &seed::order(first, second))
            }
            Self::HotOrder => post(request, "orders", &seed::hot_order()),
            Self::Register => post(request, "auth/register", &seed::account("ama", "Test@1234", true)),
            Self::Login => post(request, "auth/login", &seed::account("ama", "Test@1234", false)),
            Self::WrongPassword => post(request, "auth/login", &seed::account("ama", "Test@1235", false)),
            Self::UnknownAddress => post(request, "auth/login", &seed::account("kofi", "Test@1234", false)),
        };
        // Writing into memory does not fail.
        drop(wrote);
    }
}

/// Reads one whole answer and checks its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8], status: &[u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    let mut whole = None;
    loop {
        ensure!(filled < buffer.len(), "an answer is longer than {} bytes", buffer.len());
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the server closed the connection");
        filled += read;
        if whole.is_none() {
            whole = head(&buffer[..filled])?;
        }
        if whole.is_some_and(|whole| filled >= whole) {
            let answer = &buffer[..filled];
            if answer.get(9..12) != Some(status) {
                bail!("an unexpected answer: {}", String::from_utf8_lossy(answer));
            }
            return Ok(());
        }
    }
}

/// The length of head and body together, once the head is there.
fn head(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let name = b"content-length:";
    let length = answer[..end]
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let value =
                line.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &line[name.len()..]);
            std::str::from_utf8(value?).ok()?.trim().parse::<usize>().ok()
        })
        .context("an answer without a length")?;
    Ok(Some(end + 4 + length))
}

/// A sequence that is spread well enough, and cheap.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
