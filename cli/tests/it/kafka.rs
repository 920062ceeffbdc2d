//! The same product with its log in Apache Kafka.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
    let kafka = server.ready.kafka.clone().expect("Kafka's address is told");
    assert!(!answers_strangers(&kafka).await, "whoever reaches the port could write history");
    let subjects: Vec<String> = reqwest::get(format!("{registry}/subjects")).await.unwrap().json().await.unwrap();
    assert!(subjects.iter().any(|subject| subject.starts_with("muster.events-")), "{subjects:?}");
}

/// Whether the broker tells of its topics without being told a password.
async fn answers_strangers(broker: &str) -> bool {
    /// Length, API key 3 (Metadata), version 0, correlation id 1, no client id, all topics.
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut broker = TcpStream::connect(broker).await.expect("the broker listens");
    broker.write_all(&REQUEST).await.expect("the broker takes the request");
    let mut answer = [0; 4];
    tokio::time::timeout(Duration::from_secs(30), broker.read_exact(&mut answer))
        .await
        .expect("the broker answers or hangs up")
        .is_ok()
}
