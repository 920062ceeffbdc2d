//! `muster dev` as a program of its own, started for a run and removed with it.
//!
//! It must never know more of it than its users do: its flags, what it prints, and its token file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use muster_client::Client;
use muster_test_kit::process::{Server, StopBy};
use muster_test_kit::shared::new_folder;
use muster_test_kit::wait;
use serde::Deserialize;

use crate::servers::Folder;

/// Its servers stop in order within this time; the first start makes a cluster, and with Kafka may fetch jars.
const STOP_BY: StopBy = StopBy { signal: SIGTERM, within: Duration::from_mins(1) };
const SIGTERM: i32 = 15;
const READY_WITHIN: Duration = Duration::from_mins(4);

/// Which log it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// In its own Postgres.
    Embedded,
    /// In a Kafka it starts.
    Kafka,
}

/// What it prints, as JSON, once it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    #[serde(rename = "ready")]
    url: String,
    token_file: PathBuf,
}

/// A running `muster dev` without agents.
pub struct Dev {
    // Declared before the folder, so that it has ended when that is removed.
    server: Server,
    client: Client,
    folder: Folder,
}

impl Dev {
    /// Starts the program `muster` and waits until everything is ready.
    pub async fn start(muster: &Path, log: Log) -> anyhow::Result<Self> {
        let folder = Folder(new_folder("loadtest"));
        let output = folder.0.join("output");
        let mut command = Command::new(muster);
        command.args(["dev", "--json", "--no-runner", "--port", "0", "--data-dir"]).arg(folder.0.join("data"));
        command.current_dir(&folder.0).env("MUSTER_TELEMETRY__LOG_LEVEL", "warn").env_remove("MUSTER_URL");
        if log == Log::Kafka {
            command.arg("--kafka");
        }
        let mut server = Server::spawn(command, &output, &folder.0.join("muster.pid"), STOP_BY)
            .with_context(|| format!("starting {}: is it built? See --muster", muster.display()))?;
        let ready = wait::until(READY_WITHIN, || {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            let ready = text.lines().find_map(|line| serde_json::from_str::<Ready>(line).ok());
            let outcome = if server.exited().is_some() { Some(None) } else { ready.map(Some) };
            async move { outcome }
        });
        let Some(Some(ready)) = ready.await else {
            anyhow::bail!("{} dev did not become ready:\n{}", muster.display(), server.log_tail());
        };
        let token = std::fs::read_to_string(&ready.token_file)?;
        let client = Client::new(&ready.url, token.trim())?;
        Ok(Self { server, client, folder })
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its process, in which all services are; its servers are processes of their own.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// The last lines it printed.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Makes a git repository with one commit on `main`, beside its data.
    pub fn repository(&self) -> anyhow::Result<String> {
        let path = self.folder.0.join("repository");
        std::fs::create_dir_all(&path)?;
        let who = ["-c", "user.name=Muster", "-c", "user.email=muster@localhost"];
        for arguments in [&["init", "-q", "-b", "main"][..], &["commit", "-q", "--allow-empty", "-m", "Begin"]] {
            let status = Command::new("git").args(who).args(arguments).current_dir(&path).status().context("git")?;
            anyhow::ensure!(status.success(), "git {} failed", arguments.join(" "));
        }
        Ok(path.display().to_string())
    }
}
