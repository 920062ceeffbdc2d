//! Starting telemetry, once and again, and the metrics it serves.

use muster_service_kit::config::{LogFormat, TelemetryConfig};
use muster_service_kit::{Config, Readiness, health, limits, telemetry};

use crate::support::get;

#[test]
fn starting_twice_is_harmless() {
    telemetry::init(&TelemetryConfig::default()).unwrap();
    telemetry::init(&TelemetryConfig { log_format: LogFormat::Json, ..TelemetryConfig::default() }).unwrap();
}

#[test]
fn a_level_that_is_none_is_refused_by_key() {
    let config = TelemetryConfig { log_level: "muster=loud".into(), ..TelemetryConfig::default() };

    let error = telemetry::init(&config).unwrap_err().to_string();

    assert!(error.contains("telemetry.log_level"), "{error}");
}

#[tokio::test]
async fn metrics_show_requests_by_route() {
    telemetry::install_metrics().expect("no other recorder in this process");
    let router = limits::standard_layers(health::router(Readiness::new()), &Config::default());
    get(&router, "/healthz").await;

    let answer = get(&router, "/metrics").await;

    assert!(answer.header("content-type").starts_with("text/plain"));
    let line = r#"muster_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"}"#;
    assert!(answer.text().contains(line), "{}", answer.text());
}
