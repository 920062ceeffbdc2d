//! The logs that are not in memory: offsets with holes, other processes, real servers.

use std::sync::Arc;

use muster_domain::id::{RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_event_log::kafka::KafkaConfig;
use muster_event_log::postgres::PostgresConfig;
use muster_event_log::{AgentOutput, EventLog, LogConfig, OutputStream, connect};
use muster_test_kit::{eventually, fresh_database, shared_kafka};
use uuid::Uuid;

use crate::support::{Running, SOON, append, count, fresh_store_and_url, project, query, reaches};

#[tokio::test]
async fn from_postgres() {
    let mut config = PostgresConfig::new(fresh_database("projector-log").await);
    config.partitions = 3;
    projects_across_a_restart(connect(&LogConfig::Postgres(config)).await.unwrap()).await;
}

#[tokio::test]
async fn from_kafka() {
    let kafka = shared_kafka().await;
    let mut config = KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url);
    config.topic_prefix = format!("projector-{}", Uuid::new_v4().simple());
    config.partitions = 3;
    projects_across_a_restart(connect(&LogConfig::Kafka(config)).await.unwrap()).await;
}

async fn projects_across_a_restart(log: Arc<dyn EventLog>) {
    let (store, url) = fresh_store_and_url().await;
    let (one, two) = (project("one"), project("two"));
    for project in [one, two] {
        append(log.as_ref(), project, 1..=12).await;
        append(log.as_ref(), project, 13..=20).await;
    }
    log.append_output(lines(1..=5)).await.unwrap();

    let running = Running::start_on(Arc::clone(&log), &store);
    eventually(SOON, || async { running.readiness.failing().await.is_empty() }).await;
    for project in [one, two] {
        assert_eq!(store.project_position(project).await.unwrap(), 20, "ready means caught up");
    }
    append(log.as_ref(), one, 21..=25).await;
    reaches(&store, one, 25).await;
    running.stop().await;

    append(log.as_ref(), one, 26..=30).await;
    append(log.as_ref(), two, 21..=30).await;
    log.append_output(lines(4..=9)).await.unwrap();
    let running = Running::start_on(Arc::clone(&log), &store);
    for project in [one, two] {
        reaches(&store, project, 30).await;
        assert_eq!(count(&store, project).await, 30);
    }
    eventually(SOON, || async {
        let numbers = "select string_agg(line_number::text, ' ' order by line_number) from muster_read.agent_output";
        query(&url, numbers).trim() == "1 2 3 4 5 6 7 8 9"
    })
    .await;
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    running.stop().await;
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> Vec<AgentOutput> {
    numbers
        .map(|line_number| AgentOutput {
            project_id: project("one"),
            task_id: TaskId(Uuid::from_u128(2)),
            run_id: RunId(Uuid::from_u128(3)),
            line_number,
            timestamp: Timestamp::from(chrono::Utc::now()),
            stream: OutputStream::Stdout,
            content: format!("line {line_number}"),
        })
        .collect()
}
