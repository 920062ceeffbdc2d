//! The same over Apache Kafka: acknowledged means there, and a predecessor that lives on is fenced.

use std::sync::Arc;

use muster_event_log::EventLog;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_test_kit::{Kafka, eventually, shared_kafka};
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, PATIENCE, assert_gapless};

async fn log(kafka: &Kafka, prefix: &str) -> Arc<dyn EventLog> {
    let config = KafkaConfig {
        topic_prefix: prefix.to_owned(),
        partitions: 1,
        ..KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url)
    };
    Arc::new(KafkaLog::connect(&config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_knows_every_answer_and_the_predecessor_is_fenced() {
    let kafka = shared_kafka().await;
    let prefix = format!("command-{}", Uuid::now_v7());
    let one = App::over(log(kafka, &prefix).await).await;
    let project = one.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let keys: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();
    let send = async |app: &App, n: usize| {
        app.post_with_key(keys[n], &tasks, &json!({ "title": format!("Task {n}") })).await.ok().body
    };
    let first = futures::future::join_all((0..20).map(|n| send(&one, n))).await;

    let two = App::over(log(kafka, &prefix).await).await;
    for (n, answer) in first.iter().enumerate() {
        assert_eq!(&send(&two, n).await, answer);
    }
    // The predecessor was not stopped. Its next command is refused, or carried out once after it took over again.
    let key = Uuid::now_v7();
    eventually(PATIENCE, || async {
        let answer = one.post_with_key(key, &tasks, &json!({ "title": "Late" })).await;
        assert!(answer.status == 200 || answer.status == 503, "{}", answer.body);
        answer.status == 200
    })
    .await;
    let events = one.events().await;
    assert_gapless(&events);
    assert_eq!(events.len(), 1 + 21 * 2);
}
