//! A real broker and registry: started, used, stopped, and started again with the same data.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test itself does")]

use muster_test_kit::kafka::{KafkaServer, Listener, Options};
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

/// Metadata, asked for at each way in, names the port that its clients are to use.
#[tokio::test]
async fn a_further_listener_sends_clients_to_the_port_it_was_told() {
    let folder = shared::new_folder("listeners");
    let [told, other] = muster_test_kit::ports::free().unwrap();
    let extra_listeners = [told, other].map(|advertised_port| Listener { port: None, advertised_port }).to_vec();
    let server = KafkaServer::start(Options { extra_listeners, ..Options::throw_away(&folder) }).await.unwrap();
    let main: u16 = server.bootstrap().rsplit(':').next().unwrap().parse().unwrap();
    for (port, wanted) in [(main, main), (server.extra_ports()[0], told), (server.extra_ports()[1], other)] {
        assert_eq!(told_by_metadata(port).await, u32::from(wanted));
    }
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// The first broker's port in an answer to Metadata, version 1, for no topic.
async fn told_by_metadata(port: u16) -> u32 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// Length, API key 3, version 1, correlation id, no client id, no topics.
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut broker = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    broker.write_all(&REQUEST).await.unwrap();
    let length = broker.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    broker.read_exact(&mut answer).await.unwrap();
    // Correlation id, number of brokers, node id, the host with its length, the port.
    let host = usize::from(u16::from_be_bytes([answer[12], answer[13]]));
    u32::from_be_bytes(answer[14 + host..18 + host].try_into().unwrap())
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
