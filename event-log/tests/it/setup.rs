//! Connecting: what is made, what is refused, what is cleaned up.

use std::time::Duration;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{AgentOutput, Error, EventLog, OutputStream};
use muster_schemas::schema_for;
use uuid::Uuid;

use crate::harness::DEADLINE;
use crate::harness::postgres::{Postgres, pool};

#[tokio::test]
async fn postgres_refuses_another_number_of_partitions() {
    let harness = Postgres::start().await;
    let config = PostgresConfig { partitions: 7, ..harness.config.clone() };
    let refused = PostgresLog::connect(&config).await.map(drop);
    assert!(matches!(refused, Err(Error::Config { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_set_postgres_up_at_once() {
    let url = muster_test_kit::fresh_database("event_log").await;
    let config = PostgresConfig { max_connections: 3, ..PostgresConfig::new(url) };
    let connecting: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { PostgresLog::connect(&config).await.map(|log| log.partition_count()) })
        })
        .collect();
    for connected in connecting {
        assert_eq!(connected.await.unwrap().unwrap(), 12);
    }
}

#[tokio::test]
async fn postgres_refuses_a_schema_that_is_incompatible_with_those_in_use() {
    let url = muster_test_kit::fresh_database("event_log").await;
    let config = PostgresConfig { max_connections: 3, ..PostgresConfig::new(&url) };
    drop(PostgresLog::connect(&config).await.unwrap());
    // As if an earlier build had written `run.failed` with another type for `will_retry`.
    let mut earlier: serde_json::Value = serde_json::from_str(schema_for("run.failed").unwrap().json).unwrap();
    let data = earlier["fields"].as_array_mut().unwrap().last_mut().unwrap();
    data["type"]["fields"].as_array_mut().unwrap().last_mut().unwrap()["type"] = "string".into();
    let sql = pool(&url).await;
    sqlx::query("UPDATE muster_log.schemas SET avsc = $1 WHERE subject = 'run.failed'")
        .bind(earlier.to_string())
        .execute(&sql)
        .await
        .unwrap();

    let refused = PostgresLog::connect(&config).await.map(drop);
    assert!(matches!(&refused, Err(Error::Schema { subject, .. }) if subject == "run.failed"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_removes_old_output_alone() {
    let harness = Postgres::start().await;
    let log = PostgresLog::connect(&harness.config).await.unwrap();
    let run = RunId(Uuid::new_v4());
    let line = |number: u64| AgentOutput {
        project_id: ProjectId(Uuid::new_v4()),
        task_id: TaskId(Uuid::new_v4()),
        run_id: run,
        line_number: number,
        timestamp: Timestamp::from_micros(0),
        stream: OutputStream::Stdout,
        content: String::new(),
    };
    log.append_output((1..=3000).map(line).collect()).await.unwrap();
    let sql = pool(&harness.config.url).await;
    // Fifty lines a day, the last of them now.
    sqlx::query("UPDATE muster_log.agent_output SET appended_at = now() - make_interval(mins => (3000 - line_number::int) * 1440 / 50)")
        .execute(&sql)
        .await
        .unwrap();

    let _cleaning = PostgresLog::connect(&harness.config).await.unwrap();
    muster_test_kit::eventually(DEADLINE, || async {
        let (count, first): (i64, i64) =
            sqlx::query_as("SELECT count(*), min(line_number) FROM muster_log.agent_output")
                .fetch_one(&sql)
                .await
                .unwrap();
        assert_eq!(first, 3000 - count + 1, "only the oldest go");
        // Thirty days; those on the edge go as time goes.
        count <= 1501
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_refuses_what_does_not_fit() {
    let servers = muster_test_kit::shared_kafka().await;
    let config = KafkaConfig {
        topic_prefix: format!("setup-{}", Uuid::new_v4().simple()),
        partitions: 2,
        ..KafkaConfig::new(&servers.bootstrap, &servers.registry_url)
    };
    drop(KafkaLog::connect(&config).await.unwrap());

    let refused = KafkaLog::connect(&KafkaConfig { partitions: 5, ..config.clone() }).await.map(drop);
    assert!(matches!(refused, Err(Error::Config { .. })), "{refused:?}");

    let mut odd = config.clone();
    odd.properties.insert("no.such.property".to_owned(), "1".to_owned());
    let refused = KafkaLog::connect(&odd).await.map(drop);
    assert!(matches!(refused, Err(Error::Config { .. })), "{refused:?}");

    let nobody = KafkaConfig { registry_url: "http://127.0.0.1:9/nobody".to_owned(), ..config };
    let refused = tokio::time::timeout(Duration::from_mins(1), KafkaLog::connect(&nobody)).await.unwrap().map(drop);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
}

/// Services start together: each registers every schema and sets every subject's rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_set_kafka_up_at_once() {
    let servers = muster_test_kit::shared_kafka().await;
    let config = KafkaConfig {
        topic_prefix: format!("setup-{}", Uuid::new_v4().simple()),
        partitions: 3,
        ..KafkaConfig::new(&servers.bootstrap, &servers.registry_url)
    };
    let connecting: Vec<_> = (0..4)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { KafkaLog::connect(&config).await.map(|log| log.partition_count()) })
        })
        .collect();
    for connected in connecting {
        assert_eq!(connected.await.unwrap().unwrap(), 3);
    }
}

/// The registry itself keeps anybody, not only this build, from an incompatible schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_refuses_an_incompatible_schema() {
    let servers = muster_test_kit::shared_kafka().await;
    let config = KafkaConfig {
        topic_prefix: format!("setup-{}", Uuid::new_v4().simple()),
        partitions: 1,
        ..KafkaConfig::new(&servers.bootstrap, &servers.registry_url)
    };
    drop(KafkaLog::connect(&config).await.unwrap());
    let mut edited: serde_json::Value = serde_json::from_str(schema_for("run.failed").unwrap().json).unwrap();
    let data = edited["fields"].as_array_mut().unwrap().last_mut().unwrap();
    data["type"]["fields"].as_array_mut().unwrap().last_mut().unwrap()["type"] = "string".into();
    let url =
        format!("{}/subjects/{}.events-muster.events.RunFailed/versions", servers.registry_url, config.topic_prefix);
    let body = serde_json::json!({ "schema": edited.to_string() });
    let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(response.status(), reqwest::StatusCode::CONFLICT);
}
