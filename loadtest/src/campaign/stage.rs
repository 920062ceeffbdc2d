//! Everything that runs in a campaign: servers, services, and a link for each pair that talks.
//!
//! It knows how services are configured; it must never know what clients ask of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_test_kit::registry::RegistryServer;
use tokio::sync::Mutex;

use super::backing::{self, Kafka, Postgres};
use super::machine::{Clock, SmallDisk};
use super::options::{Kind, LogKind, Options};
use super::plan;
use super::process::{MARK, Process, Recipe};
use super::proxy::{Gate, Link, Protocol};

/// Who may call, and what they are called.
pub const USERS: [&str; 3] = ["ada", "bob", "eve"];
/// A member of no project.
pub const STRANGER: &str = "eve";

/// Database of the read model.
pub const READ_DATABASE: &str = "read_model";
/// Database of the log, where it is in Postgres.
pub const LOG_DATABASE: &str = "log";

/// A user's token.
pub fn token(user: &str) -> String {
    format!("campaign-token-of-{user}")
}

/// A service that faults and clients share.
pub type Shared = Arc<Mutex<Process>>;

/// All of it.
pub struct Stage {
    /// Instances of the command service.
    pub instances: Vec<Shared>,
    /// Log in, rows out.
    pub projector: Shared,
    /// Reads and subscriptions.
    pub query: Shared,
    /// Every link by its name.
    pub links: BTreeMap<String, Arc<Link>>,
    /// What every request of a client goes through, to whichever instance.
    pub gate: Arc<Gate>,
    /// The read model's database, and the log's where it is kept there.
    pub postgres: Mutex<Postgres>,
    /// The broker, where there is one.
    pub kafka: Option<Mutex<Kafka>>,
    /// What checkers read.
    pub addresses: Addresses,
    /// Marks the processes of this campaign.
    pub mark: String,
    /// The disk under the log, where it can be full.
    pub disk: Option<SmallDisk>,
    /// The clock of one instance, where it can jump, with the instance's name.
    pub clock: Option<(String, Clock)>,
    _registry: Option<RegistryServer>,
}

/// Where records and rows are, without a link in between.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The read model.
    pub read_model: String,
    /// The log, where it is in Postgres.
    pub log: Option<String>,
    /// The registry, where the log is in Kafka.
    pub registry: Option<String>,
}

/// The name of instance `index`.
pub fn instance_name(index: usize) -> String {
    format!("instance-{}", index + 1)
}

/// The link clients reach instance `index` by.
pub fn client_link(index: usize) -> String {
    format!("client to {}", instance_name(index))
}

/// The link services reach the registry by.
pub const REGISTRY_LINK: &str = "services to registry";

/// The link subscribers reach the query service by.
pub const SUBSCRIBER_LINK: &str = "subscriber to query";

impl Stage {
    /// Starts all of it in `folder` and waits until all of it is ready.
    pub async fn start(options: &Options, folder: &Path, mark: &str, kinds: &BTreeSet<Kind>) -> anyhow::Result<Self> {
        let gate = Arc::default();
        let links = links(options, &gate).await?;
        let under_log = match options.log {
            LogKind::Kafka => backing::broker_folder(folder),
            LogKind::Postgres => folder.join("postgres"),
        };
        let disk = kinds.contains(&Kind::DiskFull).then(|| SmallDisk::mount(&under_log)).transpose()?;
        let named = |name: &str| links.get(name).cloned().with_context(|| format!("no link {name}"));
        let log_names = log_users(options).map(|user| format!("{user} to log")).collect::<Vec<_>>();
        let log_links = log_names.iter().map(|name| named(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let read_links = vec![named("projector to read model")?, named("query to read model")?];
        let (postgres_links, kafka_links) = match options.log {
            LogKind::Kafka => (read_links, log_links),
            LogKind::Postgres => ([read_links, log_links].concat(), Vec::new()),
        };
        let postgres_folder = folder.join("postgres");
        let postgres = Postgres::start(&postgres_folder, postgres_links, options.short_lived);
        let kafka = async {
            if options.log == LogKind::Postgres {
                return Ok(None);
            }
            backing::start_kafka(folder, kafka_links, options.short_lived).await.map(Some)
        };
        let (postgres, kafka) = tokio::try_join!(postgres, kafka)?;
        let (kafka, registry) = kafka.map_or((None, None), |(kafka, registry)| (Some(kafka), Some(registry)));
        let addresses = Addresses {
            read_model: postgres.database(READ_DATABASE)?,
            log: match options.log {
                LogKind::Kafka => None,
                LogKind::Postgres => Some(postgres.database(LOG_DATABASE)?),
            },
            registry: registry.as_ref().map(RegistryServer::url),
        };
        if let Some(registry) = &registry {
            named(REGISTRY_LINK)?.lead_to(port_of(&registry.url())?);
        }
        std::fs::create_dir_all(folder.join("services"))?;
        let clock = kinds.contains(&Kind::ClockJump).then(|| Clock::told_by(folder.join("services/clock"))).flatten();
        let clock = clock.map(|clock| (instance_name(plan::clock_instance(options)), clock));
        let (postgres_ref, addresses_ref, clock_ref) = (&postgres, &addresses, clock.as_ref());
        let cook = Cook {
            options,
            folder,
            mark,
            links: &links,
            postgres: postgres_ref,
            addresses: addresses_ref,
            clock: clock_ref,
        };
        let instances = (0..options.instances).map(|index| cook.instance(index)).collect::<anyhow::Result<_>>()?;
        let (projector, query) = (cook.projector()?, cook.query()?);
        let stage = Self {
            instances,
            projector,
            query,
            postgres: Mutex::new(postgres),
            kafka: kafka.map(Mutex::new),
            addresses,
            mark: mark.to_owned(),
            disk,
            clock,
            _registry: registry,
            links,
            gate,
        };
        stage.start_services().await?;
        Ok(stage)
    }

    async fn start_services(&self) -> anyhow::Result<()> {
        // The first one makes topics and tables for all.
        for service in std::iter::once(&self.instances[0]).chain([&self.projector]) {
            let mut process = service.lock().await;
            process.start().await?;
            until_ready(&mut process).await?;
        }
        for service in self.instances.iter().skip(1).chain([&self.query]) {
            let mut process = service.lock().await;
            process.start().await?;
            until_ready(&mut process).await?;
        }
        Ok(())
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = &Shared> {
        self.instances.iter().chain([&self.projector, &self.query])
    }

    /// A link by its name.
    pub fn link(&self, name: &str) -> anyhow::Result<&Arc<Link>> {
        self.links.get(name).with_context(|| format!("no link {name}"))
    }

    /// URL of a link for HTTP.
    pub fn url(&self, link: &str) -> anyhow::Result<String> {
        Ok(format!("http://127.0.0.1:{}", self.link(link)?.port()))
    }

    /// Rows of the read model.
    pub async fn read_rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let postgres = self.postgres.lock().await;
        tokio::task::block_in_place(|| postgres.rows(READ_DATABASE, sql))
    }

    /// Stops the instances in order: nothing is written any more.
    pub async fn stop_writing(&self) {
        let stops = self.instances.iter().map(|service| async move { service.lock().await.stop().await });
        futures::future::join_all(stops).await;
    }

    /// Stops every service in order. Servers stop with the stage.
    pub async fn stop_services(&self) {
        let stops = self.services().map(|service| async move { service.lock().await.stop().await });
        futures::future::join_all(stops).await;
    }
}

/// Waits until a service says that it is ready.
pub async fn until_ready(process: &mut Process) -> anyhow::Result<()> {
    const WITHIN: Duration = Duration::from_mins(1);
    let url = format!("{}/readyz", process.url());
    let ready = muster_test_kit::wait::until(WITHIN, || {
        let (url, running) = (url.clone(), process.is_running());
        async move {
            let answer = reqwest::get(&url).await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            if running { ready.then_some(true) } else { Some(false) }
        }
    });
    if ready.await != Some(true) {
        let tail = muster_test_kit::process::log_tail(&process.log());
        anyhow::bail!("{} is not ready:\n{tail}", process.name());
    }
    Ok(())
}

/// Who reads or writes the log.
fn log_users(options: &Options) -> impl Iterator<Item = String> + use<> {
    (0..options.instances).map(instance_name).chain(["projector", "query"].map(str::to_owned))
}

async fn links(options: &Options, gate: &Arc<Gate>) -> anyhow::Result<BTreeMap<String, Arc<Link>>> {
    let to_log = match options.log {
        LogKind::Kafka => Protocol::Kafka,
        LogKind::Postgres => Protocol::Bytes,
    };
    let mut names: Vec<_> = log_users(options).map(|user| (format!("{user} to log"), to_log)).collect();
    let mut links = BTreeMap::new();
    for index in 0..options.instances {
        links.insert(client_link(index), Link::listen_behind(Protocol::Bytes, Arc::clone(gate)).await?);
        names.push((format!("peer to {}", instance_name(index)), Protocol::Bytes));
    }
    for name in ["projector to read model", "query to read model", SUBSCRIBER_LINK] {
        names.push((name.to_owned(), Protocol::Bytes));
    }
    if options.log == LogKind::Kafka {
        names.push((REGISTRY_LINK.to_owned(), Protocol::Bytes));
    }
    for (name, protocol) in names {
        links.insert(name, Link::listen(protocol).await?);
    }
    Ok(links)
}

fn port_of(url: &str) -> anyhow::Result<u16> {
    let url = reqwest::Url::parse(url)?;
    url.port().with_context(|| format!("{url} has no port"))
}

/// Knows how each service is configured.
struct Cook<'a> {
    options: &'a Options,
    folder: &'a Path,
    mark: &'a str,
    links: &'a BTreeMap<String, Arc<Link>>,
    postgres: &'a Postgres,
    addresses: &'a Addresses,
    clock: Option<&'a (String, Clock)>,
}

impl Cook<'_> {
    fn link(&self, name: &str) -> anyhow::Result<&Arc<Link>> {
        self.links.get(name).with_context(|| format!("no link {name}"))
    }

    fn program(&self, name: &str) -> PathBuf {
        self.options.bin_dir.join(name)
    }

    fn instance(&self, index: usize) -> anyhow::Result<Shared> {
        let name = instance_name(index);
        let peers = self.link(&format!("peer to {name}"))?;
        let ways_in = vec![Arc::clone(self.link(&client_link(index))?), Arc::clone(peers)];
        let mut environment = self.environment(&name)?;
        environment.extend(pairs([
            ("MUSTER_COMMAND__ADVERTISED_URL", format!("http://127.0.0.1:{}", peers.port()).as_str()),
            ("MUSTER_AUTH__INSTANCE_TOKEN", "campaign-token-of-instances"),
            ("MUSTER_COMMAND__SESSION_TIMEOUT_MS", &Options::SESSION_TIMEOUT_MS.to_string()),
            // Below a client's own patience, so that most requests are answered.
            ("MUSTER_COMMAND__HANDOVER_PATIENCE_MS", "1500"),
            ("MUSTER_LOG__GIVE_BACK_TIMEOUT_MS", "2000"),
            // Often enough that takeovers begin from snapshots.
            ("MUSTER_COMMAND__SNAPSHOT_EVERY_EVENTS", "300"),
        ]));
        if let Some((_, clock)) = self.clock.filter(|(whose, _)| *whose == name) {
            environment.extend(clock.environment());
        }
        self.process(
            &name,
            "command-service",
            "MUSTER_HTTP__PORT",
            vec!["--trust-repositories".into()],
            environment,
            ways_in,
        )
    }

    fn projector(&self) -> anyhow::Result<Shared> {
        let environment = self.environment("projector")?;
        self.process("projector", "projector", "MUSTER_PROJECTOR__HEALTH_PORT", Vec::new(), environment, Vec::new())
    }

    fn query(&self) -> anyhow::Result<Shared> {
        let mut environment = self.environment("query")?;
        let commands = format!("http://127.0.0.1:{}", self.link(&client_link(0))?.port());
        environment.extend(pairs([
            ("MUSTER_QUERY__COMMAND_URL", commands.as_str()),
            ("MUSTER_QUERY__COMMAND_TOKEN", &token("service")),
            ("MUSTER_QUERY__SSE_MAX_CONNECTIONS_PER_USER", "1000"),
        ]));
        let ways_in = vec![Arc::clone(self.link(SUBSCRIBER_LINK)?)];
        self.process("query", "query-api", "MUSTER_HTTP__PORT", Vec::new(), environment, ways_in)
    }

    fn process(
        &self,
        name: &str,
        program: &str,
        port_variable: &'static str,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        ways_in: Vec<Arc<Link>>,
    ) -> anyhow::Result<Shared> {
        let folder = self.folder.join("services");
        std::fs::create_dir_all(&folder)?;
        let program = self.program(program);
        let recipe = Recipe { name: name.to_owned(), program, arguments, environment, port_variable, folder };
        Ok(Arc::new(Mutex::new(Process::new(recipe, ways_in))))
    }

    /// The registry's address, by way of its link.
    fn registry_url(&self) -> anyhow::Result<String> {
        let mut url = reqwest::Url::parse(self.addresses.registry.as_deref().context("there is no registry")?)?;
        let port = self.link(REGISTRY_LINK)?.port();
        anyhow::ensure!(url.set_port(Some(port)).is_ok(), "{url} cannot have a port");
        Ok(url.into())
    }

    /// What every service is told.
    fn environment(&self, user: &str) -> anyhow::Result<Vec<(String, String)>> {
        let tokens: Vec<_> = USERS
            .iter()
            .map(|user| (*user, false))
            .chain([("service", true)])
            .map(|(user, admin)| format!("{{ token = \"{}\", user = \"{user}\", admin = {admin} }}", token(user)))
            .collect();
        let log = self.link(&format!("{user} to log"))?;
        let read = match user {
            "projector" | "query" => {
                self.postgres.through(&self.addresses.read_model, self.link(&format!("{user} to read model"))?)
            }
            _ => self.addresses.read_model.clone(),
        };
        let mut environment = pairs([
            (MARK, self.mark),
            ("MUSTER_AUTH__TOKENS", &format!("[{}]", tokens.join(", "))),
            ("MUSTER_READ_STORE__URL", &read),
            ("MUSTER_TELEMETRY__LOG_LEVEL", "info,sqlx=error"),
            ("MUSTER_TELEMETRY__LOG_FORMAT", "json"),
        ]);
        if let Some(mutant) = &self.options.mutant {
            environment.push(("MUSTER_MUTANT".to_owned(), mutant.clone()));
        }
        match self.options.log {
            LogKind::Kafka => environment.extend(pairs([
                ("MUSTER_LOG__KIND", "kafka"),
                ("MUSTER_LOG__KAFKA__BOOTSTRAP", format!("127.0.0.1:{}", log.port()).as_str()),
                ("MUSTER_LOG__KAFKA__REGISTRY_URL", &self.registry_url()?),
                ("MUSTER_LOG__KAFKA__PARTITIONS", &self.options.partitions.to_string()),
            ])),
            LogKind::Postgres => {
                let url = self.addresses.log.as_deref().unwrap_or_default();
                environment.extend(pairs([
                    ("MUSTER_LOG__KIND", "postgres"),
                    ("MUSTER_LOG__POSTGRES_URL", &self.postgres.through(url, log)),
                ]));
            }
        }
        Ok(environment)
    }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
