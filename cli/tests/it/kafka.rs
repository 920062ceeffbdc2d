//! The same product with its log in Apache Kafka.

use crate::demo::{Played, check_nothing_left, check_repository, demo};
use crate::support::server::DevServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_on_kafka_and_its_topics_are_open_to_others() {
    let server = DevServer::start(&["--kafka"]).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = demo(&server, folder.path()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let played = Played::read(&ran);
    played.check_story();
    played.check_surfaces(&server).await;
    check_repository(&folder.path().join("greeter")).await;
    check_nothing_left(&server).await;

    let registry = server.ready.registry.clone().expect("the registry's address is told");
    assert!(server.ready.kafka.is_some(), "Kafka's address is told");
    let subjects: Vec<String> = reqwest::get(format!("{registry}/subjects")).await.unwrap().json().await.unwrap();
    assert!(subjects.iter().any(|subject| subject.starts_with("muster.events-")), "{subjects:?}");
}
