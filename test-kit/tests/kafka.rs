//! A real broker and registry: started, used, stopped, and started again with the same data.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test itself does")]

use muster_test_kit::kafka::{KafkaServer, Options};
use muster_test_kit::postgres::PostgresServer;
use muster_test_kit::registry::{self, RegistryServer, Storage};
use muster_test_kit::{postgres, shared, shared_kafka};

fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_broker_keeps_its_identity_over_a_restart() {
    let folder = shared::new_folder("broker");
    let identity = folder.join("data/meta.properties");
    let server = KafkaServer::start(Options::throw_away(&folder)).await.unwrap();
    let first = std::fs::read_to_string(&identity).unwrap();
    let pid = server.id();
    server.stop();
    assert!(!runs(pid));

    let mut server = KafkaServer::start(Options::throw_away(&folder)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&identity).unwrap(), first);
    assert!(server.is_running());
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_registry_on_postgres_keeps_its_schemas() {
    let (store, folder) = (shared::new_folder("store"), shared::new_folder("registry"));
    let postgres = PostgresServer::start(postgres::Options::keep(&store)).await.unwrap();
    postgres.ensure_database("registry").unwrap();
    let options = registry::Options {
        directory: folder.clone(),
        port: None,
        storage: Storage::Postgres(postgres.connection("registry")),
    };
    let registry = RegistryServer::start(options.clone()).await.unwrap();
    let id = register(&registry.url()).await;
    let pid = registry.id();
    registry.stop();
    assert!(!runs(pid));

    let registry = RegistryServer::start(options).await.unwrap();
    assert_eq!(subjects(&registry.url()).await, r#"["s-value"]"#);
    assert_eq!(register(&registry.url()).await, id, "the same schema keeps its id");
    registry.stop();
    postgres.stop();
    std::fs::remove_dir_all(store).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_shared_servers_answer() {
    let kafka = shared_kafka().await;
    tokio::net::TcpStream::connect(&kafka.bootstrap).await.unwrap();
    assert!(subjects(&kafka.registry_url).await.starts_with('['));
}

async fn register(url: &str) -> String {
    let answer = reqwest::Client::new()
        .post(format!("{url}/subjects/s-value/versions"))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(r#"{"schema": "\"string\""}"#)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    answer.text().await.unwrap()
}

async fn subjects(url: &str) -> String {
    reqwest::get(format!("{url}/subjects")).await.unwrap().text().await.unwrap()
}
