//! One server of each kind for a whole test run.
//!
//! `muster-test-servers` starts them and hands their addresses to every test binary in the environment. A test binary
//! run without it starts its own at the first use; those end with it, and their files are removed by the next one.
//! Must never know what a test does with a server.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::kafka::{self, KafkaServer};
use crate::postgres::{self, Binaries, PostgresServer};
use crate::process;
use crate::registry::{self, RegistryServer};

/// URL of a database of the shared Postgres whose user may create others.
pub const POSTGRES_VARIABLE: &str = "MUSTER_TEST_POSTGRES_URL";
/// `host:port` of the shared Kafka.
pub const KAFKA_VARIABLE: &str = "MUSTER_TEST_KAFKA";
/// URL of the shared registry's Confluent-compatible API.
pub const REGISTRY_VARIABLE: &str = "MUSTER_TEST_REGISTRY";

/// Prefix of the folders for servers of a test run, in the system's folder for temporary files.
const FOLDER_PREFIX: &str = "muster-test-";

/// The Postgres of this test run.
#[derive(Debug)]
pub struct SharedPostgres {
    /// URL of its `postgres` database.
    pub url: String,
    binaries: Binaries,
    _own: Option<PostgresServer>,
}

impl SharedPostgres {
    /// Creates an empty database whose name starts with `prefix`, and returns its URL.
    pub fn fresh_database(&self, prefix: &str) -> String {
        let name = database_name(prefix);
        let made = self.binaries.psql(&self.url, &format!("create database \"{name}\""));
        made.unwrap_or_else(|error| panic!("no fresh database: {error}"));
        let (server, _) = self.url.rsplit_once('/').expect("a URL ends with the database's name");
        format!("{server}/{name}")
    }
}

/// The Kafka and the registry of this test run.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`.
    pub bootstrap: String,
    /// URL of the Confluent-compatible API.
    pub registry_url: String,
}

/// The Postgres of this test run, started if need be.
///
/// # Panics
/// When it cannot be started, saying why.
pub async fn shared_postgres() -> &'static SharedPostgres {
    static SHARED: OnceCell<SharedPostgres> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let binaries = Binaries::find().unwrap_or_else(|error| panic!("{error}"));
            if let Ok(url) = std::env::var(POSTGRES_VARIABLE) {
                return SharedPostgres { url, binaries, _own: None };
            }
            let own = start_postgres(&new_folder("postgres")).await.unwrap_or_else(|error| panic!("{error}"));
            SharedPostgres { url: own.url("postgres"), binaries, _own: Some(own) }
        })
        .await
}

/// Creates an empty database in [`shared_postgres`] whose name starts with `prefix`, and returns its URL.
///
/// # Panics
/// When that fails, saying why.
pub async fn fresh_database(prefix: &str) -> String {
    let shared = shared_postgres().await;
    let prefix = prefix.to_owned();
    tokio::task::spawn_blocking(move || shared.fresh_database(&prefix)).await.expect("creating a database")
}

/// The Kafka and the registry of this test run, started if need be. Topics and subjects are the test's own: give them
/// a prefix that no other test uses.
///
/// # Panics
/// When they cannot be started, saying why.
pub async fn shared_kafka() -> &'static Kafka {
    static SHARED: OnceCell<(Kafka, Option<(KafkaServer, RegistryServer)>)> = OnceCell::const_new();
    let (kafka, _own) = SHARED
        .get_or_init(|| async {
            if let (Ok(bootstrap), Ok(registry_url)) = (std::env::var(KAFKA_VARIABLE), std::env::var(REGISTRY_VARIABLE))
            {
                return (Kafka { bootstrap, registry_url }, None);
            }
            let (broker, registry) = (new_folder("kafka"), new_folder("registry"));
            let (broker, registry) = tokio::join!(start_kafka(&broker), start_registry(&registry));
            let broker = broker.unwrap_or_else(|error| panic!("{error}"));
            let registry = registry.unwrap_or_else(|error| panic!("{error}"));
            (Kafka { bootstrap: broker.bootstrap(), registry_url: registry.url() }, Some((broker, registry)))
        })
        .await;
    kafka
}

/// Starts a Postgres for tests in `directory`.
pub async fn start_postgres(directory: &Path) -> Result<PostgresServer, postgres::Error> {
    PostgresServer::start(postgres::Options::throw_away(directory)).await
}

/// Starts a Kafka for tests in `directory`.
pub async fn start_kafka(directory: &Path) -> Result<KafkaServer, kafka::Error> {
    KafkaServer::start(kafka::Options::throw_away(directory)).await
}

/// Starts a registry for tests in `directory`.
pub async fn start_registry(directory: &Path) -> Result<RegistryServer, registry::Error> {
    let options = registry::Options { directory: directory.to_owned(), port: None, storage: registry::Storage::Memory };
    RegistryServer::start(options).await
}

/// A new folder for a server of a test run, which the account it runs as can enter. Removes those of runs that ended.
///
/// # Panics
/// When the folder cannot be made.
pub fn new_folder(kind: &str) -> PathBuf {
    let parent = std::env::temp_dir();
    sweep(&parent);
    let name = format!("{FOLDER_PREFIX}{kind}-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    let folder = parent.join(name);
    std::fs::create_dir(&folder)
        .and_then(|()| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

/// Removes the folders of test runs that ended: the process that made them is gone, and so is their server.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let folder = entry.path();
        if entry.file_name().to_str().is_some_and(is_orphan_name) && !server_runs(&folder) {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

/// Whether a folder's name says that a process made it for a test run which is no more.
fn is_orphan_name(name: &str) -> bool {
    let maker = name.strip_prefix(FOLDER_PREFIX).and_then(|rest| rest.rsplit('-').nth(1)?.parse::<u32>().ok());
    maker.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn server_runs(folder: &Path) -> bool {
    let pid_files = [postgres::pid_file(folder), kafka::pid_file(folder), registry::pid_file(folder)];
    pid_files.iter().any(|file| process::leftover_runs(file))
}

/// A name that is valid for Postgres (at most 63 bytes) and new.
fn database_name(prefix: &str) -> String {
    let keep = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    let prefix: String = prefix.chars().map(keep).take(40).collect();
    format!("{prefix}_{}", &uuid::Uuid::new_v4().simple().to_string()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_are_short_plain_and_new() {
        let name = database_name(&"Tests of A/B".repeat(9));
        assert!(name.len() <= 63 && name.starts_with("tests_of_a_b"), "{name}");
        assert_ne!(name, database_name(&"Tests of A/B".repeat(9)));
    }

    #[test]
    fn only_folders_of_ended_runs_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = parent.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let living = folder(&format!("muster-test-x-{}-a", std::process::id()));
        // No process has this id: the kernel's largest is 2^22.
        let ended = folder("muster-test-x-4194305-a");
        let stranger = folder("somebody-else-4194305-a");
        sweep(parent.path());
        assert_eq!((living.exists(), ended.exists(), stranger.exists()), (true, false, true));
    }
}
