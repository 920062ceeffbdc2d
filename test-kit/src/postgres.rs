//! One Postgres server in a directory of its own, from the installed binaries.
//!
//! The directory is durable: starting again with the same one finds the same data, also after the parent was killed.
//! Must never know what is stored in the databases.

mod cluster;
mod installed;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cluster::Connection;
pub use installed::Binaries;

use crate::directory::{self, Account};
use crate::process::{self, Server, StopBy};
use crate::{ports, wait};

/// "Fast" shutdown: roll back, disconnect, checkpoint, end.
const STOP_BY: StopBy = StopBy { signal: libc::SIGINT, within: Duration::from_secs(15) };
/// How long a start may take; recovery after a crash is part of it.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How often a start is tried when someone else took the free port meanwhile.
const PORT_TRIES: u32 = 3;

/// Why a server could not be started or used. None of these is worth retrying unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Postgres is installed where one was looked for.
    #[error(
        "no Postgres binaries found in {looked_in}: install the package `postgresql`, or set MUSTER_PG_BIN to the folder that holds `initdb`"
    )]
    NotInstalled { looked_in: String },
    /// Root has no account to run Postgres as.
    #[error("Postgres does not run as root, and there is no account to run it as: {0}")]
    NoAccount(#[source] io::Error),
    /// This process is root, and the account Postgres runs as cannot reach the directory.
    #[error("the account `{account}`, which Postgres runs as, cannot enter {folder}: choose a directory elsewhere")]
    Unreachable { account: String, folder: PathBuf },
    /// Another process runs a server from this directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// One of Postgres' own tools failed.
    #[error("{tool} failed:\n{output}")]
    Tool { tool: &'static str, output: String },
    /// The server ended or did not become ready in time.
    #[error("Postgres did not start ({reason}); its log ends with:\n{log_tail}")]
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

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where data, log and password lie; created when missing. See [`directory::usable`].
    pub directory: PathBuf,
    /// The TCP port on the loopback address; `None` for a free one.
    pub port: Option<u16>,
    /// Whether acknowledged writes survive a crash of the machine, and whether a password is asked for.
    pub purpose: Purpose,
    /// `max_connections`.
    pub max_connections: u32,
    /// Further settings, as `name = value`.
    pub settings: Vec<(String, String)>,
}

/// What the data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is kept: everything is synced to disk, and clients need the generated password.
    Keep,
    /// It is thrown away: no syncing, no password. For tests.
    ThrowAway,
}

impl Options {
    /// A server whose data is kept in `directory`.
    pub fn keep(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            port: None,
            purpose: Purpose::Keep,
            max_connections: 200,
            settings: Vec::new(),
        }
    }

    /// A server for tests, faster and unsafe.
    pub fn throw_away(directory: impl Into<PathBuf>) -> Self {
        Self { purpose: Purpose::ThrowAway, max_connections: 500, ..Self::keep(directory) }
    }
}

/// A running Postgres. Dropping it stops it cleanly; it also stops when this process dies.
#[derive(Debug)]
pub struct PostgresServer {
    // Declared before the lock, so that the server has ended when the directory is let go.
    server: Server,
    connection: Connection,
    binaries: Binaries,
    _held: File,
}

impl PostgresServer {
    /// Creates the cluster if the directory has none, starts it and waits until it accepts connections.
    ///
    /// A server left over by a killed parent is stopped first. Nothing else is: a directory that another process
    /// works in is refused with [`Error::InUse`].
    pub async fn start(options: Options) -> Result<Self, Error> {
        let binaries = Binaries::find()?;
        let account = directory::unprivileged().map_err(Error::NoAccount)?;
        let directory = std::path::absolute(&options.directory).map_err(Error::io(&options.directory))?;
        std::fs::create_dir_all(&directory).map_err(Error::io(&directory))?;
        if let Some(account) = &account
            && let Some(folder) = directory::barred(&directory, account)
        {
            return Err(Error::Unreachable { account: account.name.clone(), folder });
        }
        let held = process::hold(&directory).map_err(Error::io(&directory))?;
        let held = held.ok_or_else(|| Error::InUse(directory.clone()))?;
        process::stop_leftover(&pid_file(&directory), STOP_BY).map_err(Error::io(&directory))?;
        let password = cluster::create_if_missing(&directory, &binaries, account.as_ref(), options.purpose)?;

        let mut tries = 0;
        loop {
            tries += 1;
            let port = ports::given_or_free(options.port).map_err(Error::io(&directory))?;
            match start_on(port, &directory, &binaries, account.as_ref(), &options).await {
                Ok(server) => {
                    let connection = Connection { port, password: password.clone(), database: "postgres".to_owned() };
                    return Ok(Self { server, connection, binaries, _held: held });
                }
                Err(error) if options.port.is_some() || tries == PORT_TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// How to connect to `database`, which must exist.
    pub fn connection(&self, database: &str) -> Connection {
        Connection { database: database.to_owned(), ..self.connection.clone() }
    }

    /// `postgres://…` URL of `database`, which must exist.
    pub fn url(&self, database: &str) -> String {
        self.connection(database).url()
    }

    /// The TCP port on the loopback address.
    pub fn port(&self) -> u16 {
        self.connection.port
    }

    /// The installation it runs from.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Creates `database` if it does not exist, and returns its URL.
    pub fn ensure_database(&self, database: &str) -> Result<String, Error> {
        let exists = format!("select 1 from pg_database where datname = {}", cluster::literal(database));
        if self.binaries.psql(&self.connection.url(), &exists)?.is_empty() {
            let create = format!("create database {}", cluster::identifier(database));
            self.binaries.psql(&self.connection.url(), &create)?;
        }
        Ok(self.url(database))
    }

    /// The postmaster's process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Whether it still runs. `false` after a crash.
    pub fn is_running(&mut self) -> bool {
        self.server.exited().is_none()
    }

    /// Stops it cleanly and returns when it has ended.
    pub fn stop(self) {
        drop(self);
    }
}

/// Where a server started in `directory` leaves its process id.
pub(crate) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("postgres.pid")
}

async fn start_on(
    port: u16,
    directory: &Path,
    binaries: &Binaries,
    account: Option<&Account>,
    options: &Options,
) -> Result<Server, Error> {
    let mut command = cluster::command(&binaries.tool("postgres"), directory, account);
    command.arg("-D").arg(cluster::data(directory));
    for (name, value) in cluster::settings(directory, port, options) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let log = directory.join("postgres.log");
    let spawned = Server::spawn(command, &log, &pid_file(directory), STOP_BY);
    let mut server = spawned.map_err(Error::io(&binaries.tool("postgres")))?;
    let ended = wait::until(READY_WITHIN, || {
        let outcome = if let Some(status) = server.exited() {
            Some(Err(format!("it ended with {status}")))
        } else {
            cluster::is_ready(directory, server.id()).then_some(Ok(()))
        };
        async move { outcome }
    })
    .await
    .unwrap_or_else(|| Err(format!("it was not ready within {READY_WITHIN:?}")));
    match ended {
        Ok(()) => Ok(server),
        Err(reason) => Err(Error::NotReady { reason, log_tail: server.log_tail() }),
    }
}
