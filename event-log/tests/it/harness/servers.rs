//! Servers of a test's own, which it may crash, or reach by way of a proxy.

use std::path::PathBuf;
use std::sync::Arc;

use muster_event_log::EventLog;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_test_kit::kafka::{self, KafkaServer};
use muster_test_kit::postgres::{self, PostgresServer};
use muster_test_kit::{process, shared};

use super::PARTITIONS;
use super::proxy::Proxy;

const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;

/// A folder that is removed with whoever holds it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A Postgres that is nobody else's.
pub struct OwnPostgres {
    // Declared before the folder, so that it has ended when that is removed.
    server: Option<PostgresServer>,
    options: postgres::Options,
    config: PostgresConfig,
    _folder: Folder,
}

impl OwnPostgres {
    pub async fn start(name: &str) -> Self {
        let folder = Folder(shared::new_folder(name));
        let options = postgres::Options::throw_away(&folder.0);
        let server = PostgresServer::start(options.clone()).await.expect("a server");
        let config = PostgresConfig {
            partitions: PARTITIONS,
            max_connections: 6,
            ..PostgresConfig::new(server.ensure_database("log").expect("a database"))
        };
        let options = postgres::Options { port: Some(server.port()), ..options };
        Self { server: Some(server), options, config, _folder: folder }
    }

    /// A handle as another process would have it.
    pub async fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(PostgresLog::connect(&self.config).await.expect("a log"))
    }

    /// Ends as by a crash, and is back with what was durable.
    pub async fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            process::signal(server.id(), SIGQUIT).expect("it runs");
        }
        self.server = Some(PostgresServer::start(self.options.clone()).await.expect("a server"));
    }
}

/// A Kafka that is nobody else's. The registry is everybody's.
pub struct OwnKafka {
    server: Option<KafkaServer>,
    options: kafka::Options,
    pub config: KafkaConfig,
    _folder: Folder,
}

impl OwnKafka {
    pub async fn start(name: &str) -> Self {
        let folder = Folder(shared::new_folder(name));
        let options = kafka::Options::throw_away(&folder.0);
        Self::start_in(folder, options).await
    }

    /// One that can be reached by way of a proxy too: with that address in place of `config.bootstrap`.
    pub async fn behind_a_proxy(name: &str) -> (Self, Proxy, String) {
        let proxy = Proxy::start(None).await;
        let extra_listeners = vec![kafka::Listener { port: None, advertised_port: proxy.port }];
        let folder = Folder(shared::new_folder(name));
        let options = kafka::Options { extra_listeners, ..kafka::Options::throw_away(&folder.0) };
        let own = Self::start_in(folder, options).await;
        proxy.lead_to(own.server.as_ref().expect("it runs").extra_ports()[0]);
        let through = format!("127.0.0.1:{}", proxy.port);
        (own, proxy, through)
    }

    async fn start_in(folder: Folder, options: kafka::Options) -> Self {
        let server = KafkaServer::start(options.clone()).await.expect("a server");
        let bootstrap = server.bootstrap();
        let config = KafkaConfig {
            partitions: PARTITIONS,
            topic_prefix: format!("own-{}", uuid::Uuid::new_v4().simple()),
            transaction_timeout_ms: 5_000,
            request_timeout_ms: 20_000,
            ..KafkaConfig::new(&bootstrap, &muster_test_kit::shared_kafka().await.registry_url)
        };
        let port = bootstrap.rsplit(':').next().and_then(|port| port.parse().ok());
        let options = kafka::Options { port, ..options };
        Self { server: Some(server), options, config, _folder: folder }
    }

    /// A handle as another process would have it.
    pub async fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(KafkaLog::connect(&self.config).await.expect("a log"))
    }

    /// Ends as by a crash, and is back with what was durable.
    pub async fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            process::signal(server.id(), SIGKILL).expect("it runs");
        }
        self.server = Some(KafkaServer::start(self.options.clone()).await.expect("a server"));
    }
}
