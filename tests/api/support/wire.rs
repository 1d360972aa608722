//! The wire between a shop and its database, on which the answers are counted that the shop waits for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::TestDatabase;

/// A setting that only those connections ask for on which orders are placed.
const HOT: &[u8] = b"force_generic_plan";

/// Passes on what a shop and its database say to each other.
pub struct Wire(Arc<AtomicUsize>);

impl Wire {
    /// Puts itself before a database: whoever connects to its address from now on comes this way.
    pub async fn before(database: &mut TestDatabase) -> Self {
        let server: PgConnectOptions = database.url.parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut url = url::Url::parse(&database.url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        // What is counted has to be read.
        url.set_query(Some("sslmode=disable"));
        database.url = url.to_string();
        let answers = Arc::new(AtomicUsize::new(0));
        let counter = answers.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server.clone(), counter.clone()));
            }
        });
        Self(answers)
    }

    /// How often a connection on which orders are placed has told that it is ready for the next question.
    pub fn answers(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

async fn connect(client: TcpStream, server: PgConnectOptions, answers: Arc<AtomicUsize>) -> io::Result<()> {
    client.set_nodelay(true)?;
    match server.get_socket() {
        Some(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", server.get_port()));
            relay(client, UnixStream::connect(path).await?, answers).await
        }
        None => {
            let socket = TcpStream::connect((server.get_host(), server.get_port())).await?;
            socket.set_nodelay(true)?;
            relay(client, socket, answers).await
        }
    }
}

async fn relay(
    mut client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    answers: Arc<AtomicUsize>,
) -> io::Result<()> {
    // The first message has a length, itself included, and no type. It tells the settings of the connection.
    let length = client.read_u32().await?;
    let mut start = vec![0; usize::try_from(length).unwrap() - 4];
    client.read_exact(&mut start).await?;
    let is_hot = start.windows(HOT.len()).any(|part| part == HOT);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    to_server.write_u32(length).await?;
    to_server.write_all(&start).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let questions = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let told = async {
        let (mut messages, mut buffer) = (Messages::default(), vec![0; 16_384]);
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 {
                return to_client.shutdown().await;
            }
            if is_hot {
                // Counted before it is passed on, so that whoever has his order finds it counted.
                answers.fetch_add(messages.ready(&buffer[..length]), Ordering::SeqCst);
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(questions, told)?;
    Ok(())
}

/// Finds the messages in what a server sends: a type, a length that counts itself, and as many bytes.
#[derive(Default)]
struct Messages {
    /// Type and length, as far as they have come.
    head: Vec<u8>,
    /// Bytes that are left of a message.
    left: usize,
}

impl Messages {
    /// How many messages begin in these bytes that say `ReadyForQuery`.
    fn ready(&mut self, mut bytes: &[u8]) -> usize {
        let mut ready = 0;
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            let Some((first, rest)) = bytes[skipped..].split_first() else { return ready };
            bytes = rest;
            self.head.push(*first);
            if let [kind, length @ ..] = self.head.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                ready += usize::from(*kind == b'Z');
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap() - 4;
                self.head.clear();
            }
        }
    }
}

#[test]
fn messages_are_found_however_they_are_cut() {
    let bytes = b"Z\0\0\0\x05IC\0\0\0\x09ZZZZZ1\0\0\0\x04Z\0\0\0\x05T";
    for size in 1..=bytes.len() {
        let mut messages = Messages::default();
        let found: usize = bytes.chunks(size).map(|chunk| messages.ready(chunk)).sum();
        assert_eq!(found, 2, "in pieces of {size}");
    }
}
