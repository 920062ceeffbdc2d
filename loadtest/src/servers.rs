//! The servers of a run: started for it, durable as in production, stopped and removed with it.

use std::path::PathBuf;

use muster_test_kit::kafka::{self, KafkaServer};
use muster_test_kit::postgres::{self, PostgresServer};
use muster_test_kit::registry::RegistryServer;
use muster_test_kit::shared::{new_folder, start_registry};

/// A folder that is removed with whoever holds it.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A Postgres that syncs what it acknowledges.
pub struct Postgres {
    // Declared before the folder, so that it has ended when that is removed.
    server: PostgresServer,
    folder: Folder,
}

/// One database, by two ways.
#[derive(Debug, Clone)]
pub struct Database {
    /// URL over TCP.
    pub tcp: String,
    /// URL over the server's own socket.
    pub socket: String,
}

impl Postgres {
    /// Starts it in a folder of its own.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = Folder(new_folder("loadtest"));
        let server = PostgresServer::start(postgres::Options::keep(&folder.0)).await?;
        Ok(Self { server, folder })
    }

    /// URLs of `database`, made when there is none.
    pub fn database(&self, database: &str) -> anyhow::Result<Database> {
        let tcp = self.server.ensure_database(database)?;
        let socket = format!("{tcp}?host={}", self.folder.0.join("socket").display());
        Ok(Database { tcp, socket })
    }
}

/// A broker and a registry.
pub struct Kafka {
    broker: KafkaServer,
    registry: RegistryServer,
    _folders: [Folder; 2],
}

impl Kafka {
    /// Starts both in folders of their own.
    pub async fn start() -> anyhow::Result<Self> {
        let folders = [Folder(new_folder("loadtest")), Folder(new_folder("loadtest"))];
        let broker = KafkaServer::start(kafka::Options::keep(&folders[0].0));
        let (broker, registry) = tokio::join!(broker, start_registry(&folders[1].0));
        Ok(Self { broker: broker?, registry: registry?, _folders: folders })
    }

    /// How to reach them.
    pub fn address(&self) -> muster_test_kit::Kafka {
        muster_test_kit::Kafka { bootstrap: self.broker.bootstrap(), registry_url: self.registry.url() }
    }
}
