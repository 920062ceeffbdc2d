//! One Apicurio Registry: the Confluent-compatible schema registry that Kafka clients use.
//!
//! Must never know a schema.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::jars::{self, Jars};
use crate::postgres::Connection;
use crate::process::{self, Server, StopBy};
use crate::{ports, wait};

const STOP_BY: StopBy = StopBy { signal: libc::SIGTERM, within: Duration::from_secs(20) };
/// How long a start may take, on a slow machine with other work.
const READY_WITHIN: Duration = Duration::from_mins(3);
/// The path of the API that Confluent's clients speak.
const API: &str = "/apis/ccompat/v7";

/// Why a registry could not be started. None of these is worth retrying unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Java or the jars are missing.
    #[error(transparent)]
    Jars(#[from] jars::Error),
    /// Another process runs a registry from this directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The registry ended or did not become ready in time.
    #[error("the schema registry did not start ({reason}); its log ends with:\n{log_tail}")]
    NotReady { reason: String, log_tail: String },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Where the registry keeps schemas.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Nowhere: they are gone when it stops. For tests.
    Memory,
    /// In a database of its own, which must exist.
    Postgres(Connection),
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where log and process id lie; created when missing.
    pub directory: PathBuf,
    /// The TCP port on the loopback address; `None` for a free one.
    pub port: Option<u16>,
    pub storage: Storage,
}

/// A running registry. Dropping it stops it; it also stops when this process dies.
#[derive(Debug)]
pub struct RegistryServer {
    // Declared before the lock, so that the server has ended when the directory is let go.
    server: Server,
    port: u16,
    _held: File,
}

impl RegistryServer {
    /// Starts it and waits until it answers. One left over by a killed parent is stopped first.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let directory = std::path::absolute(&options.directory).map_err(Error::io(&options.directory))?;
        std::fs::create_dir_all(&directory).map_err(Error::io(&directory))?;
        let held = process::hold(&directory).map_err(Error::io(&directory))?;
        let held = held.ok_or_else(|| Error::InUse(directory.clone()))?;
        process::stop_leftover(&pid_file(&directory), STOP_BY).map_err(Error::io(&directory))?;
        let jars = tokio::task::spawn_blocking(Jars::ensure)
            .await
            .map_err(|error| Error::io(&directory)(io::Error::other(error)))??;

        let port = ports::given_or_free(options.port).map_err(Error::io(&directory))?;
        let command = command(&jars, port, &directory, &options.storage)?;
        let log = directory.join("registry.log");
        let spawned = Server::spawn(command, &log, &pid_file(&directory), STOP_BY);
        let mut server = spawned.map_err(Error::io(jars.java()))?;
        let probe = format!("http://127.0.0.1:{port}{API}/subjects");
        let ended = wait::until(READY_WITHIN, || {
            let ended = server.exited();
            let probe = probe.clone();
            async move {
                if let Some(status) = ended {
                    return Some(Err(format!("it ended with {status}")));
                }
                reqwest::get(probe).await.ok()?.status().is_success().then_some(Ok(()))
            }
        })
        .await
        .unwrap_or_else(|| Err(format!("it was not ready within {READY_WITHIN:?}")));
        match ended {
            Ok(()) => Ok(Self { server, port, _held: held }),
            Err(reason) => Err(Error::NotReady { reason, log_tail: server.log_tail() }),
        }
    }

    /// The URL a Confluent client is given.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// The registry's process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Whether it still runs. `false` after a crash.
    pub fn is_running(&mut self) -> bool {
        self.server.exited().is_none()
    }

    /// Stops it and returns when it has ended.
    pub fn stop(self) {
        drop(self);
    }
}

/// Where a registry started in `directory` leaves its process id.
pub(crate) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("registry.pid")
}

fn command(jars: &Jars, port: u16, directory: &Path, storage: &Storage) -> Result<std::process::Command, Error> {
    let mut command = std::process::Command::new(jars.java());
    command
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(format!("-Dquarkus.http.port={port}"))
        .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.log.level=WARN", "-jar"])
        .arg(jars.registry()?)
        .current_dir(directory);
    if let Storage::Postgres(connection) = storage {
        command
            .env("APICURIO_STORAGE_KIND", "sql")
            .env("APICURIO_STORAGE_SQL_KIND", "postgresql")
            .env("APICURIO_DATASOURCE_URL", connection.jdbc_url())
            .env("APICURIO_DATASOURCE_USERNAME", connection.user())
            .env("APICURIO_DATASOURCE_PASSWORD", connection.password.as_deref().unwrap_or_default());
    }
    Ok(command)
}
