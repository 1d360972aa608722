//! Log lines and metrics.

mod json;
mod lines;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::config::{Log, LogFormat};
use json::JsonLine;
use lines::Lines;

/// Where the lines go that wait to be written.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts logging to standard error.
///
/// # Errors
/// When the filter is not valid, or logging has been started before.
pub fn init_logs(config: &Log) -> anyhow::Result<()> {
    // The database's remarks, such as "already exists, skipping", unless somebody asks for them.
    let filter = EnvFilter::try_new(format!("sqlx::postgres::notice=warn,{}", config.filter))
        .map_err(|e| anyhow::anyhow!("log.filter: {e}; use for example \"info,agape=debug\""))?;
    let pretty = match config.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    if pretty {
        registry
            .with(tracing_subscriber::fmt::layer().compact().with_target(false).with_writer(std::io::stderr))
            .try_init()?;
    } else {
        let lines = Lines::start(std::io::stderr())?;
        registry
            .with(tracing_subscriber::fmt::layer().json().event_format(JsonLine).with_writer(lines.clone()))
            .try_init()?;
        LINES.get_or_init(|| lines);
    }
    Ok(())
}

/// Waits until every line has left the process, which is about to end.
pub fn flush_logs() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

/// Starts counting. In a process that holds several applications (tests), they share the counters.
pub fn init_metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
            let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
            let builder = PrometheusBuilder::new();
            let recorder = match builder
                .set_buckets(&buckets)
                .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), &sizes))
            {
                Ok(builder) => builder.build_recorder(),
                Err(_) => PrometheusBuilder::new().build_recorder(),
            };
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder counts already; /metrics stays empty");
            }
            handle
        })
        .clone()
}

/// Sorts the measured durations into their buckets from time to time: until then each takes memory, and nobody may
/// ever ask for `/metrics`.
pub async fn keep_up(metrics: PrometheusHandle) {
    let mut timer = tokio::time::interval(Duration::from_secs(1));
    loop {
        timer.tick().await;
        metrics.run_upkeep();
    }
}
