//! Services as programs of their own, started for a run and removed with it.
//!
//! It must never know more of them than their configuration and what they listen on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use muster_client::Client;
use muster_test_kit::process::{Server, StopBy, signal};
use muster_test_kit::shared::new_folder;
use muster_test_kit::{Kafka, ports, wait};

use crate::servers::Folder;

const STOP_BY: StopBy = StopBy { signal: SIGTERM, within: Duration::from_secs(20) };
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
const READY_WITHIN: Duration = Duration::from_mins(4);
const TOKEN: &str = "loadtest";
/// What instances know each other by.
const INSTANCE_TOKEN: &str = "loadtest-of-instances";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The command service.
    pub command_service: PathBuf,
    /// A server that does nothing.
    pub empty_handler: PathBuf,
}

impl Programs {
    /// Those in `folder`.
    pub fn within(folder: &Path) -> Self {
        Self { command_service: folder.join("command-service"), empty_handler: folder.join("empty-handler") }
    }

    /// Those beside this program.
    pub fn beside() -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        Ok(Self::within(here.parent().context("this program lies in a folder")?))
    }
}

/// The log of a command service, which may have been written before it starts.
#[derive(Debug, Clone)]
pub struct LogPlace<'a> {
    /// Broker and registry.
    pub kafka: &'a Kafka,
    /// Prefix of its topics.
    pub prefix: &'a str,
    /// Partitions of its event topic.
    pub partitions: u32,
}

/// A service that runs.
pub struct Service {
    // Declared before the folder, so that it has ended when that is removed.
    server: Server,
    client: Client,
    url: String,
    _folder: Folder,
}

impl Service {
    /// Starts a command service and waits until it takes commands.
    pub async fn commands(program: &Path, log: &LogPlace<'_>) -> anyhow::Result<Self> {
        let LogPlace { kafka, prefix, partitions } = log;
        let log = format!(
            "[log]\nkind = \"kafka\"\n[log.kafka]\nbootstrap = {:?}\nregistry_url = {:?}\ntopic_prefix = {prefix:?}\n\
             partitions = {partitions}\n",
            kafka.bootstrap, kafka.registry_url
        );
        Self::start(program, &["--trust-repositories"], &log).await
    }

    /// Starts a server that does nothing.
    pub async fn empty(program: &Path) -> anyhow::Result<Self> {
        Self::start(program, &[], "").await
    }

    async fn start(program: &Path, arguments: &[&str], sections: &str) -> anyhow::Result<Self> {
        let folder = Folder(new_folder("loadtest"));
        let [port] = ports::free()?;
        let config = format!(
            "{sections}[http]\nport = {port}\n[telemetry]\nlog_level = \"warn\"\n[auth]\ninstance_token = {INSTANCE_TOKEN:?}\n\
             [[auth.tokens]]\ntoken = {TOKEN:?}\n\
             user = \"ada\"\n"
        );
        std::fs::create_dir_all(folder.0.join(".muster"))?;
        std::fs::write(folder.0.join(".muster/config.toml"), config)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&folder.0).env("HOME", &folder.0).env_remove("MUSTER_URL");
        let mut server = Server::spawn(command, &folder.0.join("output"), &folder.0.join("pid"), STOP_BY)
            .with_context(|| format!("starting {}: is it built?", program.display()))?;
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::new(&url, TOKEN)?;
        let ready = wait::until(READY_WITHIN, || {
            let ended = server.exited().is_some();
            let client = client.clone();
            async move { if ended { Some(false) } else { client.ready().await.is_ok().then_some(true) } }
        });
        let is_ready = ready.await == Some(true);
        anyhow::ensure!(is_ready, "{} did not become ready:\n{}", program.display(), server.log_tail());
        Ok(Self { server, client, url, _folder: folder })
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// The last lines it wrote.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Waits until it shows a metric above 0.
    pub async fn wait_for(&self, metric: &str, within: Duration) -> anyhow::Result<()> {
        let url = format!("{}/metrics", self.url);
        let is_there = wait::until(within, || {
            let asked = reqwest::get(&url);
            async move {
                let text = asked.await.ok()?.text().await.ok()?;
                let value = text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok())?;
                (value > 0.0).then_some(())
            }
        });
        is_there.await.with_context(|| format!("{metric} did not come:\n{}", self.log_tail()))
    }

    /// Ends it without warning.
    pub fn kill(&self) -> anyhow::Result<()> {
        Ok(signal(self.server.id(), SIGKILL)?)
    }
}
