//! Redis or Valkey, where the shop has one: what several processes share and what may be lost.
//!
//! Nobody waits for a server that is gone. The first failure breaks the connection, from then on every question fails at
//! once, and a task connects again in the background, less and less often.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult, ScriptInvocation};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::config::Redis as Config;

/// How long a connection may take to be made. Nobody waits for it, but the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The first and the longest wait between two tries to connect.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A connection that breaks sooner does not start the waits anew.
const STEADY: Duration = Duration::from_secs(10);

/// Redis does not answer, or not well. What it was asked for has to be done without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// The shop's Redis; cloning it is cheap.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    prefix: String,
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    /// None while Redis is unreachable.
    connection: Option<MultiplexedConnection>,
    /// The number of the connection.
    number: u64,
    since: Instant,
    /// Before the next try to connect.
    wait: Duration,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.0.prefix).field("up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Redis {
    /// The Redis of the settings, or none where they name none. Tries once to connect, and then goes on trying in the
    /// background.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub async fn connect(config: &Config) -> anyhow::Result<Option<Self>> {
        let url = config.url.expose_secret();
        if url.is_empty() {
            return Ok(None);
        }
        // The library's message may quote the password.
        let client = Client::open(url).map_err(|_| anyhow::anyhow!("redis.url cannot be understood (REDIS_URL)"))?;
        let redis = Self(Arc::new(Inner {
            client,
            prefix: config.prefix.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            state: Mutex::new(State { connection: None, number: 0, since: Instant::now(), wait: BACK_OFF.0 }),
        }));
        if let Err(error) = redis.0.reconnect().await {
            tracing::warn!(%error, "Redis does not answer; the shop goes on without it");
            tokio::spawn(keep_trying(Arc::downgrade(&redis.0), BACK_OFF.0));
        }
        Ok(Some(redis))
    }

    /// The name under which something of this shop is stored.
    pub fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.0.prefix)
    }

    /// Whether it answered last.
    pub fn is_up(&self) -> bool {
        self.0.state().connection.is_some()
    }

    /// Runs a script.
    ///
    /// # Errors
    /// When Redis does not answer in time, or with an error.
    pub async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unreachable> {
        let (mut connection, number) = self.0.connection()?;
        let answer = tokio::time::timeout(self.0.timeout, script.invoke_async(&mut connection)).await;
        self.take(answer, number)
    }

    /// Runs a command.
    ///
    /// # Errors
    /// As [`Self::script`].
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unreachable> {
        let (mut connection, number) = self.0.connection()?;
        let answer = tokio::time::timeout(self.0.timeout, command.query_async(&mut connection)).await;
        self.take(answer, number)
    }

    fn take<T>(
        &self,
        answer: Result<RedisResult<T>, tokio::time::error::Elapsed>,
        number: u64,
    ) -> Result<T, Unreachable> {
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.0.timeout),
        };
        self.lose(number, &error);
        Err(Unreachable)
    }

    /// Gives up the connection, once, however many were waiting for an answer of it.
    fn lose(&self, number: u64, error: &str) {
        let mut state = self.0.state();
        if state.number != number || state.connection.take().is_none() {
            return;
        }
        if state.since.elapsed() >= STEADY {
            state.wait = BACK_OFF.0;
        }
        let wait = state.wait;
        drop(state);
        tracing::warn!(error, "Redis is gone; the shop goes on without it");
        tokio::spawn(keep_trying(Arc::downgrade(&self.0), wait));
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Result<(MultiplexedConnection, u64), Unreachable> {
        let state = self.state();
        state.connection.clone().map(|connection| (connection, state.number)).ok_or(Unreachable)
    }

    /// Connects once. A server that is loading, full or read-only is as good as none.
    async fn reconnect(&self) -> RedisResult<()> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT.max(self.timeout)));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("SET")
            .arg(format!("{}:alive", self.prefix))
            .arg(1)
            .arg("PX")
            .arg(1)
            .exec_async(&mut connection)
            .await?;
        let mut state = self.state();
        state.number += 1;
        state.since = Instant::now();
        state.connection = Some(connection);
        Ok(())
    }
}

/// Connects again, after longer and longer waits, unless nobody needs it any more.
async fn keep_trying(redis: Weak<Inner>, mut wait: Duration) {
    loop {
        // Processes that lost it together do not come back together.
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.75..1.25))).await;
        let Some(redis) = redis.upgrade() else { return };
        wait = (wait * 2).min(BACK_OFF.1);
        redis.state().wait = wait;
        if redis.reconnect().await.is_ok() {
            tracing::info!("Redis answers again");
            return;
        }
    }
}
