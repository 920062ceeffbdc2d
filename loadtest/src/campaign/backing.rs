//! The servers under the services: Postgres, Kafka and the registry, which can be killed, frozen and started again from
//! what they had on disk. It must never know what is kept in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_test_kit::kafka::{self, KafkaServer, Listener};
use muster_test_kit::postgres::{self, PostgresServer};
use muster_test_kit::process::signal;
use muster_test_kit::registry::RegistryServer;
use muster_test_kit::shared::start_registry;
use muster_test_kit::wait;

use super::proxy::Link;

const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// What an operating system says of a full disk.
pub const NO_ROOM: &str = "No space left on device";
/// What a broker's clients say then.
pub const DISK_ERROR: &str = "Disk error when trying to access log file on disk";

/// A Postgres whose acknowledged transactions survive it.
pub struct Postgres {
    folder: PathBuf,
    server: Option<PostgresServer>,
    ways_in: Vec<Arc<Link>>,
    short_lived: bool,
    url: String,
    port: u16,
}

impl Postgres {
    /// Starts it in `folder`, with the links that lead to it. A short-lived one leaves it to the operating system when
    /// to write: the end of a process loses nothing of that, and a busy disk does not hold the campaign up.
    pub async fn start(folder: &Path, ways_in: Vec<Arc<Link>>, short_lived: bool) -> anyhow::Result<Self> {
        let (folder, url) = (folder.to_owned(), String::new());
        let mut postgres = Self { folder, server: None, ways_in, short_lived, url, port: 0 };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// Starts it from what is on disk.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let fsync = if self.short_lived { "off" } else { "on" };
        let settings = [("max_wal_size", "2GB"), ("autovacuum_naptime", "30s"), ("fsync", fsync)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = postgres::Options { max_connections: 400, settings, ..postgres::Options::keep(&self.folder) };
        let server = PostgresServer::start(options).await?;
        self.port = server.port();
        self.url = server.url("postgres");
        for link in &self.ways_in {
            link.lead_to(self.port);
        }
        self.server = Some(server);
        Ok(())
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(PostgresServer::is_running)
    }

    /// URL of `database`, made when there is none.
    pub fn database(&self, database: &str) -> anyhow::Result<String> {
        let server = self.server.as_ref().ok_or_else(|| anyhow::anyhow!("Postgres does not run"))?;
        Ok(server.ensure_database(database)?)
    }

    /// `url` of this server, by way of `link`.
    pub fn through(&self, url: &str, link: &Link) -> String {
        url.replace(&format!(":{}/", self.port), &format!(":{}/", link.port()))
    }

    /// Rows that `sql` gives, asked without a link in between.
    pub fn rows(&self, database: &str, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let server = self.server.as_ref().ok_or_else(|| anyhow::anyhow!("Postgres does not run"))?;
        let text = server.binaries().psql(&server.url(database), sql)?;
        Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
    }

    /// Ends it without writing anything more: what it acknowledged must be on disk already. The process that ended by
    /// that; none when none ran.
    pub async fn kill(&mut self) -> Option<u32> {
        let mut server = self.server.take()?;
        self.ways_in.iter().for_each(|link| link.lead_nowhere());
        let (id, ran) = (server.id(), server.is_running());
        // Killed outright, its children would live on for a moment and keep it from starting again.
        drop(signal(id, SIGQUIT));
        let gone = wait::until(GONE_WITHIN, || {
            let gone = (!server.is_running()).then_some(());
            async move { gone }
        });
        (ran && gone.await.is_some()).then_some(id)
    }

    /// Tries to write rows. What the server said when it refused them for lack of room; none when it did not.
    pub fn refuses_row(&self, database: &str) -> Option<String> {
        const FILL: &str = "create table if not exists public.campaign_room (filler text); \
            insert into public.campaign_room select repeat(gen_random_uuid()::text, 40) from generate_series(1, 200)";
        let refused = tokio::task::block_in_place(|| self.rows(database, FILL)).err()?.to_string();
        refused.lines().find(|line| line.contains(NO_ROOM)).map(str::to_owned)
    }
}

/// A campaign that breaks off waits for nothing.
impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server
            && server.is_running()
        {
            drop(signal(server.id(), SIGQUIT));
        }
    }
}

/// A broker.
pub struct Kafka {
    folder: PathBuf,
    server: Option<KafkaServer>,
    ways_in: Vec<Arc<Link>>,
    short_lived: bool,
}

impl Kafka {
    /// Starts it in `folder`. Each of the links leads to a listener of its own, whose clients are told the link's port.
    pub async fn start(folder: &Path, ways_in: Vec<Arc<Link>>, short_lived: bool) -> anyhow::Result<Self> {
        let mut kafka = Self { folder: folder.to_owned(), server: None, ways_in, short_lived };
        kafka.start_again().await?;
        Ok(kafka)
    }

    /// Starts it from what is on disk.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let listeners = self.ways_in.iter().map(|link| Listener { port: None, advertised_port: link.port() });
        let settings = [
            // Members that are not heard of are put out this soon.
            ("group.min.session.timeout.ms", "300"),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
        ];
        let options = kafka::Options {
            extra_listeners: listeners.collect(),
            short_lived: self.short_lived,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..kafka::Options::keep(&self.folder)
        };
        let server = KafkaServer::start(options).await?;
        for (link, port) in self.ways_in.iter().zip(server.extra_ports()) {
            link.lead_to(*port);
        }
        self.server = Some(server);
        Ok(())
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(KafkaServer::is_running)
    }

    /// Where clients connect without a link in between.
    pub fn bootstrap(&self) -> String {
        self.server.as_ref().map(KafkaServer::bootstrap).unwrap_or_default()
    }

    /// Ends it without warning. The process that ended by that; none when none ran.
    pub async fn kill(&mut self) -> Option<u32> {
        let mut server = self.server.take()?;
        self.ways_in.iter().for_each(|link| link.lead_nowhere());
        let (id, ran) = (server.id(), server.is_running());
        drop(signal(id, SIGKILL));
        let gone = wait::until(GONE_WITHIN, || {
            let gone = (!server.is_running()).then_some(());
            async move { gone }
        });
        (ran && gone.await.is_some()).then_some(id)
    }

    /// The process, while it runs.
    pub fn id(&mut self) -> Option<u32> {
        if self.is_running() { self.server.as_ref().map(KafkaServer::id) } else { None }
    }

    /// Stops its clock.
    pub fn freeze(&self) {
        if let Some(server) = &self.server {
            drop(signal(server.id(), SIGSTOP));
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        if let Some(server) = &self.server {
            drop(signal(server.id(), SIGCONT));
        }
    }
}

/// A campaign that breaks off waits for nothing, and a frozen broker would not hear that it is to stop.
impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(id) = self.id() {
            drop(signal(id, SIGKILL));
        }
    }
}

/// Where the broker keeps everything.
pub fn broker_folder(folder: &Path) -> PathBuf {
    folder.join("kafka")
}

/// A broker and its registry.
pub async fn start_kafka(
    folder: &Path,
    ways_in: Vec<Arc<Link>>,
    short_lived: bool,
) -> anyhow::Result<(Kafka, RegistryServer)> {
    let registry = folder.join("registry");
    let broker = broker_folder(folder);
    let (broker, registry) = tokio::join!(Kafka::start(&broker, ways_in, short_lived), start_registry(&registry));
    Ok((broker?, registry?))
}
