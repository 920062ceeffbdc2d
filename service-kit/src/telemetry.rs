//! Log lines to standard error and metrics for Prometheus. Starting it twice is harmless, as several services may share
//! a process. It must never write to standard output, which belongs to commands.

use std::sync::OnceLock;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, TelemetryConfig};

/// How often histograms are folded, so that they do not grow when nobody asks for metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds of every `*_seconds` histogram.
const DURATION_BUCKETS_SECONDS: [f64; 16] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Why telemetry did not start; the process should stop and show it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `telemetry.log_level` is neither a level nor directives.
    #[error("configuration key `telemetry.log_level`: {0}")]
    Level(#[from] ParseError),
}

/// Starts log lines and metrics. The first call in a process wins; later ones change nothing.
pub fn init(config: &TelemetryConfig) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(&config.log_level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A subscriber that is already there is a service, a test or an embedding program that came first.
    let _already_there = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    install_metrics();
    Ok(())
}

/// Installs the Prometheus recorder once per process.
pub fn install_metrics() -> Option<&'static PrometheusHandle> {
    METRICS.get_or_init(start_recorder).as_ref()
}

fn start_recorder() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(
            metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned()),
            &DURATION_BUCKETS_SECONDS,
        )
        .ok()?;
    let handle = builder.install_recorder().ok()?;
    let upkeep = handle.clone();
    // A detached thread, as the runtime of whoever came first may end before the process does.
    std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP_INTERVAL);
                upkeep.run_upkeep();
            }
        })
        .ok()?;
    Some(handle)
}

/// The current metrics in Prometheus's text format.
pub async fn render_metrics() -> Response {
    let text = install_metrics().map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
