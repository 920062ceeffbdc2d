//! Kafka clients whose connections hang without an error: they are replaced, and nothing is lost or repeated by it.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::{AgentOutput, EventLog, LogOffset, OutputStream};
use muster_test_kit::eventually;
use uuid::Uuid;

use crate::harness::instance::{Board, DEADLINE, Instance, SHORT_SESSION_TIMEOUT_MS, settled};
use crate::harness::proxy::{INIT_PRODUCER_ID, JOIN_GROUP};
use crate::harness::servers::OwnKafka;
use crate::harness::{PARTITIONS, events, positions, project_in, take};

/// Longer than any test: what is replaced here was not given up by librdkafka itself.
const NEVER_MS: u64 = 300_000;

fn line(line_number: u64) -> AgentOutput {
    AgentOutput {
        project_id: ProjectId(Uuid::nil()),
        task_id: TaskId(Uuid::nil()),
        run_id: RunId(Uuid::nil()),
        line_number,
        timestamp: Timestamp::from_micros(0),
        stream: OutputStream::Stdout,
        content: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_are_replaced() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    // Counted when it first happens; on a busy machine it may happen again.
    let stalls = |client: &str| metrics.render().contains(&format!("stalls_total{{client=\"{client}\"}} "));
    let (server, proxy, bootstrap) = OwnKafka::behind_a_proxy("log-stalls").await;
    let mut through = KafkaConfig {
        bootstrap,
        stall_timeout_ms: 3_000,
        request_timeout_ms: 3_000,
        // Not shorter than that of its connections.
        transaction_timeout_ms: NEVER_MS + 1_000,
        ..server.config.clone()
    };
    through.properties.insert("socket.timeout.ms".to_owned(), NEVER_MS.to_string());
    let direct = server.log().await;
    let through: Arc<dyn EventLog> = Arc::new(KafkaLog::connect(&through).await.unwrap());

    let project = project_in(0);
    let mut writer = direct.open_writer(0).await.unwrap();
    writer.append(writer.end(), &events(project, 1, 3)).await.unwrap();
    let mut subscription = through.subscribe(0, LogOffset::START).await.unwrap();
    assert_eq!(positions(&take(&mut subscription, 3).await), [1, 2, 3]);
    through.append_output(vec![line(1)]).await.unwrap();
    let board = Arc::new(Board::default());
    let (steady, other) = (
        Instance::join(&*direct, "steady", &board, Duration::ZERO).await,
        Instance::join_for(&*through, "other", &board, Duration::ZERO, SHORT_SESSION_TIMEOUT_MS).await,
    );
    settled(&[&steady, &other]).await;

    proxy.hold_those_there();
    // Those that librdkafka makes in their place hang too where it matters: it may or may not have found a way by itself.
    proxy.hang_on(&[INIT_PRODUCER_ID, JOIN_GROUP]);
    writer.append(writer.end(), &events(project, 4, 4)).await.unwrap();
    assert_eq!(positions(&take(&mut subscription, 4).await), [4, 5, 6, 7]);
    assert!(stalls("subscription"), "{}", metrics.render());
    let append = async || through.append_output(vec![line(2)]).await;
    eventually(DEADLINE, || async { append().await.is_err() && stalls("output") }).await;
    proxy.hang_on(&[JOIN_GROUP]);
    // What is refused in time can be written again.
    eventually(DEADLINE, || async { append().await.is_ok() }).await;
    let partitions = (0..PARTITIONS).map(|partition| (partition, LogOffset::START)).collect();
    let mut output = direct.subscribe_output(partitions).await.unwrap();
    while take(&mut output, 1).await[0].line.line_number != 2 {}
    writer.append(writer.end(), &events(project, 8, 2)).await.unwrap();
    assert_eq!(positions(&take(&mut subscription, 2).await), [8, 9]);

    // The other was expelled meanwhile, and is back by a new client: the old one asks in vain.
    eventually(DEADLINE, || async { stalls("membership") }).await;
    proxy.hang_on(&[]);
    settled(&[&steady, &other]).await;
    assert!(!other.lost().is_empty());
    steady.leave().await;
    settled(&[&other]).await;
    other.leave().await;
    assert_eq!(positions(&through.read(0, LogOffset::START, 20).await.unwrap()), (1..=9).collect::<Vec<_>>());
}
