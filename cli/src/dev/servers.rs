//! The servers that `muster dev` keeps for itself: Postgres always, Kafka and a schema registry when asked for.
//! It must never know what is stored in them.

use std::path::PathBuf;

use muster_test_kit::kafka::{self, KafkaServer};
use muster_test_kit::postgres::{self, PostgresServer};
use muster_test_kit::registry::{self, RegistryServer};
use muster_test_kit::{directory, jars};

use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::output::Output;

/// Running servers. Dropping them stops them, Postgres last, as the registry stores its schemas there.
#[derive(Debug)]
pub struct Servers {
    kafka: Option<(RegistryServer, KafkaServer)>,
    postgres: PostgresServer,
    folder: PathBuf,
    database: String,
}

/// The database of the embedded log and its read model. Kafka's read model has one of its own: a read model belongs to
/// one log.
const EMBEDDED: &str = "muster";
const WITH_KAFKA: &str = "muster_kafka";
const REGISTRY: &str = "registry";

impl Servers {
    /// Starts what is needed, from the data directory or for the first time.
    pub async fn start(data: &DataDir, with_kafka: bool, output: Output) -> Result<Self> {
        let folder = directory::usable(&data.postgres()).map_err(Error::doing("the data directory of Postgres"))?;
        let postgres = PostgresServer::start(postgres::Options::keep(&folder)).await.map_err(failed)?;
        let name = if with_kafka { WITH_KAFKA } else { EMBEDDED };
        let database = postgres.ensure_database(name).map_err(failed)?;
        let kafka = if with_kafka { Some(start_kafka(data, &postgres, output).await?) } else { None };
        Ok(Self { kafka, postgres, folder, database })
    }

    /// URL of the database for log and read model.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Address of Kafka and URL of the registry.
    pub fn kafka(&self) -> Option<(String, String)> {
        self.kafka.as_ref().map(|(registry, kafka)| (kafka.bootstrap(), registry.url()))
    }

    /// Where Postgres keeps its data: elsewhere than in the data directory when Postgres' account cannot enter that.
    pub const fn postgres_folder(&self) -> &PathBuf {
        &self.folder
    }

    /// What has stopped by itself, if something has.
    pub fn stopped(&mut self) -> Option<&'static str> {
        if !self.postgres.is_running() {
            return Some("Postgres");
        }
        let (registry, kafka) = self.kafka.as_mut()?;
        if !kafka.is_running() {
            return Some("Kafka");
        }
        if registry.is_running() { None } else { Some("the schema registry") }
    }
}

async fn start_kafka(
    data: &DataDir,
    postgres: &PostgresServer,
    output: Output,
) -> Result<(RegistryServer, KafkaServer)> {
    output.note("Looking for Kafka's jars; the first time Maven resolves them (some 170 MB) ...");
    tokio::task::spawn_blocking(jars::Jars::ensure)
        .await
        .map_err(|error| Error::Failed(error.to_string()))?
        .map_err(failed)?;
    output.note("Starting Kafka and the schema registry ...");
    postgres.ensure_database(REGISTRY).map_err(failed)?;
    let storage = registry::Storage::Postgres(postgres.connection(REGISTRY));
    let registry = registry::Options { directory: data.registry(), port: None, storage };
    let password = data.ensure_kafka_password()?;
    let broker = kafka::Options { settings: broker_security(&password), ..kafka::Options::keep(data.kafka()) };
    let (kafka, registry) = tokio::join!(KafkaServer::start(broker), RegistryServer::start(registry));
    let (kafka, registry) = (kafka.map_err(failed)?, registry.map_err(failed)?);
    data.write_kafka_client(&kafka.bootstrap(), &client_security(&password))?;
    Ok((registry, kafka))
}

/// The broker's only account. Agents share the machine's loopback address with the broker; without the password they can
/// neither read other projects' events nor write any.
const ACCOUNT: &str = "muster";

/// What clients of the private broker must present.
pub fn client_security(password: &str) -> [(&'static str, String); 4] {
    [
        ("security.protocol", "SASL_PLAINTEXT".to_owned()),
        ("sasl.mechanism", "PLAIN".to_owned()),
        ("sasl.username", ACCOUNT.to_owned()),
        ("sasl.password", password.to_owned()),
    ]
}

fn broker_security(password: &str) -> Vec<(String, String)> {
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let account = format!(r#"{module} username="{ACCOUNT}" password="{password}" user_{ACCOUNT}="{password}";"#);
    let settings = [
        ("listener.security.protocol.map", "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("sasl.enabled.mechanisms", "PLAIN".to_owned()),
        ("sasl.mechanism.inter.broker.protocol", "PLAIN".to_owned()),
        ("sasl.mechanism.controller.protocol", "PLAIN".to_owned()),
        ("listener.name.plaintext.plain.sasl.jaas.config", account.clone()),
        ("listener.name.controller.plain.sasl.jaas.config", account),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn failed(error: impl std::error::Error) -> Error {
    Error::Failed(error.to_string())
}
