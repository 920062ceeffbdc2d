//! One Apache Kafka broker (KRaft: broker and controller in one) in a directory of its own, without containers.
//!
//! The directory is durable: starting again with the same one finds the same topics.
//! Must never know a topic's name.

mod settings;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::jars::{self, Jars};
use crate::process::{self, Server, StopBy};
use crate::{ports, wait};

/// An orderly shutdown flushes the logs, so that the next start need not recover them.
const STOP_BY: StopBy = StopBy { signal: libc::SIGTERM, within: Duration::from_secs(30) };
/// How long a start may take, on a slow machine with other work.
const READY_WITHIN: Duration = Duration::from_mins(4);
/// How often a start is tried when someone else took a free port meanwhile.
const PORT_TRIES: u32 = 3;

/// Why a broker could not be started. None of these is worth retrying unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Java or the jars are missing.
    #[error(transparent)]
    Jars(#[from] jars::Error),
    /// Another process runs a broker from this directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The storage could not be formatted.
    #[error("formatting Kafka's storage failed:\n{0}")]
    Format(String),
    /// The broker ended or did not become ready in time.
    #[error("Kafka did not start ({reason}); its log ends with:\n{log_tail}")]
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
    /// Where data, settings and log lie; created when missing.
    pub directory: PathBuf,
    /// The TCP port on the loopback address; `None` for a free one.
    pub port: Option<u16>,
    /// Largest heap, in MiB.
    pub heap_max_mib: u32,
    /// Start sooner, run slower: the JVM's quick compiler only. For tests.
    pub short_lived: bool,
    /// Further broker settings, as `name = value`; they win over the ones made here.
    pub settings: Vec<(String, String)>,
    /// Further ways in, each of which sends its clients to a port of their own: that of a proxy, for example.
    pub extra_listeners: Vec<Listener>,
}

/// A way into the broker whose clients are told another port than the one it listens on.
///
/// Clients connect to the bootstrap address first, and from then on to what the broker tells them. Whoever stands in
/// between clients and broker must be what the broker tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The TCP port on the loopback address the broker listens on; `None` for a free one.
    pub port: Option<u16>,
    /// The port on the loopback address that it tells its clients.
    pub advertised_port: u16,
}

impl Options {
    /// A broker whose data is kept in `directory`.
    pub fn keep(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            port: None,
            heap_max_mib: 512,
            short_lived: false,
            settings: Vec::new(),
            extra_listeners: Vec::new(),
        }
    }

    /// A broker for tests.
    pub fn throw_away(directory: impl Into<PathBuf>) -> Self {
        // Tests of compaction do not wait for the cleaner's usual pause of 15 s.
        let settings = vec![("log.cleaner.backoff.ms".to_owned(), "500".to_owned())];
        Self { short_lived: true, settings, ..Self::keep(directory) }
    }

    fn jvm(&self) -> Vec<String> {
        let mut jvm = vec![format!("-Xmx{}m", self.heap_max_mib), "-Xms128m".to_owned()];
        if self.short_lived {
            jvm.extend(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned));
        }
        jvm
    }
}

/// A running broker. Dropping it stops it in order; it also stops when this process dies.
#[derive(Debug)]
pub struct KafkaServer {
    // Declared before the lock, so that the server has ended when the directory is let go.
    server: Server,
    port: u16,
    extra_ports: Vec<u16>,
    _held: File,
}

impl KafkaServer {
    /// Formats the storage if the directory has none, starts the broker and waits until it answers requests.
    ///
    /// A broker left over by a killed parent is stopped first.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let directory = std::path::absolute(&options.directory).map_err(Error::io(&options.directory))?;
        std::fs::create_dir_all(&directory).map_err(Error::io(&directory))?;
        let held = process::hold(&directory).map_err(Error::io(&directory))?;
        let held = held.ok_or_else(|| Error::InUse(directory.clone()))?;
        process::stop_leftover(&pid_file(&directory), STOP_BY).map_err(Error::io(&directory))?;
        let jars = tokio::task::spawn_blocking(Jars::ensure)
            .await
            .map_err(|error| Error::io(&directory)(io::Error::other(error)))??;

        let mut tries = 0;
        loop {
            tries += 1;
            let ports = Ports::choose(&options).map_err(Error::io(&directory))?;
            match start_on(&ports, &directory, &jars, &options).await {
                Ok(server) => {
                    let extra_ports = ports.extra.iter().map(|listener| listener.0).collect();
                    return Ok(Self { server, port: ports.broker, extra_ports, _held: held });
                }
                Err(error @ (Error::Format(_) | Error::Io { .. })) => return Err(error),
                Err(error) if tries == PORT_TRIES || !error.to_string().contains("Address already in use") => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// The address clients connect to first, as `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of each of [`Options::extra_listeners`], in their order: where a proxy in front of one connects to.
    pub fn extra_ports(&self) -> &[u16] {
        &self.extra_ports
    }

    /// The broker's process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Whether it still runs. `false` after a crash.
    pub fn is_running(&mut self) -> bool {
        self.server.exited().is_none()
    }

    /// Stops it in order and returns when it has ended.
    pub fn stop(self) {
        drop(self);
    }
}

/// Where a broker started in `directory` leaves its process id.
pub(crate) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("kafka.pid")
}

/// The ports of one try.
struct Ports {
    broker: u16,
    controller: u16,
    /// What each further listener listens on, and what it tells its clients.
    extra: Vec<(u16, u16)>,
}

impl Ports {
    fn choose(options: &Options) -> io::Result<Self> {
        // Taken together, so that they differ.
        let mut free = ports::many(2 + options.extra_listeners.len())?.into_iter();
        let mut next = || free.next().ok_or(io::ErrorKind::AddrNotAvailable);
        let (broker, controller) = (next()?, next()?);
        let extra = options.extra_listeners.iter();
        let extra = extra.map(|listener| Ok((listener.port.unwrap_or(next()?), listener.advertised_port)));
        Ok(Self { broker: options.port.unwrap_or(broker), controller, extra: extra.collect::<io::Result<_>>()? })
    }
}

async fn start_on(ports: &Ports, directory: &Path, jars: &Jars, options: &Options) -> Result<Server, Error> {
    let properties = directory.join("server.properties");
    let text = settings::text(directory, ports, &options.settings);
    // Settings may hold passwords.
    let mut file = File::options();
    file.write(true).create(true).truncate(true).mode(0o600);
    file.open(&properties).and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::io(&properties))?;
    settings::format_if_new(directory, &properties, jars)?;

    let jvm = options.jvm();
    let mut command = jars.kafka(&jvm.iter().map(String::as_str).collect::<Vec<_>>());
    command.arg("kafka.Kafka").arg(&properties).current_dir(directory);
    let log = directory.join("kafka.log");
    let mut server = Server::spawn(command, &log, &pid_file(directory), STOP_BY).map_err(Error::io(jars.java()))?;
    let ended = wait::until(READY_WITHIN, || {
        let ended = server.exited();
        async move {
            if let Some(status) = ended {
                return Some(Err(format!("it ended with {status}")));
            }
            answers(ports.broker).await.ok().map(Ok)
        }
    })
    .await
    .unwrap_or_else(|| Err(format!("it was not ready within {READY_WITHIN:?}")));
    match ended {
        Ok(()) => Ok(server),
        Err(reason) => Err(Error::NotReady { reason, log_tail: server.log_tail() }),
    }
}

/// Whether the broker answers a request: it takes connections earlier than that.
async fn answers(port: u16) -> io::Result<()> {
    /// Length, API key 18 (ApiVersions), version 0, correlation id 1, no client id.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let mut broker = TcpStream::connect(("127.0.0.1", port)).await?;
    broker.write_all(&REQUEST).await?;
    let mut head = [0; 8];
    broker.read_exact(&mut head).await?;
    if head[4..] == REQUEST[8..12] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
