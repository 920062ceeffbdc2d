//! One service as a process of its own: started, killed, frozen, stopped and started again.
//!
//! It must never know what the service does.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use muster_test_kit::process::{Server, StopBy, signal};
use muster_test_kit::{ports, wait};

use super::proxy::Link;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// Longest wait for a process to listen. What it asked for at its start may be lost on a link, for longer than anyone
/// who keeps services running would wait.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Longest wait for one of several starts to come to something; reached only when something is broken.
const STARTS_WITHIN: Duration = Duration::from_mins(3);
/// How long an orderly stop may take before the process is killed.
const STOP_BY: StopBy = StopBy { signal: SIGTERM, within: Duration::from_secs(20) };
/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// Before a process that ended by itself while it started is started again.
const PAUSE: Duration = Duration::from_millis(200);

/// Marks every process of a campaign, so that those that were left can be found.
pub const MARK: &str = "LOADTEST_CAMPAIGN";

/// How a service is started.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Its name in this campaign.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Flags.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The variable that takes its port.
    pub port_variable: &'static str,
    /// Where it works and logs.
    pub folder: PathBuf,
}

/// A service.
pub struct Process {
    recipe: Recipe,
    server: Option<Server>,
    port: u16,
    ways_in: Vec<Arc<Link>>,
    frozen: bool,
    /// Whether it should run.
    wanted: bool,
}

impl Process {
    /// One that does not run yet, with the links that lead to it.
    pub fn new(recipe: Recipe, ways_in: Vec<Arc<Link>>) -> Self {
        Self { recipe, server: None, port: 0, ways_in, frozen: false, wanted: false }
    }

    /// Its name in this campaign.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// Its own address, without a link in between.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.recipe.folder.join(format!("{}.log", self.recipe.name))
    }

    /// Starts it, on a port of its own each time, and waits until it listens.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + STARTS_WITHIN;
        while tokio::time::Instant::now() < deadline {
            self.spawn()?;
            if self.listens().await {
                return Ok(());
            }
            self.kill().await;
            // What it needs may be away at the moment.
            tokio::time::sleep(PAUSE).await;
        }
        let tail = muster_test_kit::process::log_tail(&self.log());
        anyhow::bail!("{} does not come to listen:\n{tail}", self.recipe.name)
    }

    /// Starts it without waiting for anything.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        self.server = None;
        [self.port] = ports::free()?;
        let command = self.command();
        let Recipe { name, program, folder, .. } = &self.recipe;
        let server = Server::spawn(command, &self.log(), &folder.join(format!("{name}.pid")), STOP_BY);
        self.server = Some(server.with_context(|| format!("starting {}: is it built?", program.display()))?);
        self.frozen = false;
        self.wanted = true;
        for link in &self.ways_in {
            link.lead_to(self.port);
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let Recipe { program, arguments, environment, port_variable, folder, .. } = &self.recipe;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env_clear();
        command.envs(std::env::vars().filter(|(name, _)| matches!(name.as_str(), "PATH" | "LANG" | "TMPDIR")));
        command.env("HOME", folder).env("RUST_BACKTRACE", "1").envs(environment.iter().cloned());
        command.env(port_variable, self.port.to_string());
        command
    }

    /// Runs the program with other `arguments` to its end, while the service does not run.
    pub async fn run_once(&self, arguments: &[&str], within: Duration) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(within, output).await.context("it took too long")??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        anyhow::ensure!(output.status.success(), "{} {}: {said}", self.recipe.name, arguments.join(" "));
        Ok(())
    }

    /// Waits until it takes connections; false when it ended instead, or takes too long.
    async fn listens(&mut self) -> bool {
        let Self { server: Some(server), port, .. } = self else { return false };
        let address = (std::net::Ipv4Addr::LOCALHOST, *port);
        let listens = wait::until(READY_WITHIN, || {
            let ended = server.exited().is_some();
            async move {
                if ended {
                    return Some(false);
                }
                tokio::net::TcpStream::connect(address).await.is_ok().then_some(true)
            }
        });
        listens.await == Some(true)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| server.exited().is_none())
    }

    /// Whether it ended although nobody ended it.
    pub fn has_ended_by_itself(&mut self) -> bool {
        self.wanted && !self.is_running()
    }

    /// Ends it without warning. The process that ended by that; none when none ran.
    pub async fn kill(&mut self) -> Option<u32> {
        self.wanted = false;
        let mut server = self.server.take()?;
        self.ways_in.iter().for_each(|link| link.lead_nowhere());
        drop(signal(server.id(), SIGKILL));
        let ended = wait::until(GONE_WITHIN, || {
            let ended = server.exited();
            async move { ended }
        });
        let was_killed = ended.await.is_some_and(|status| status.signal() == Some(SIGKILL));
        was_killed.then(|| server.id())
    }

    /// The process, while it runs.
    pub fn id(&mut self) -> Option<u32> {
        if self.is_running() { self.server.as_ref().map(Server::id) } else { None }
    }

    /// Stops its clock: it does nothing, and its connections stay. The process; none when it does not run.
    pub fn freeze(&mut self) -> Option<u32> {
        let stopped = self.id().filter(|id| signal(*id, SIGSTOP).is_ok());
        self.frozen = stopped.is_some();
        stopped
    }

    /// Lets it go on as if nothing had been.
    pub fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen)
            && let Some(server) = &self.server
        {
            drop(signal(server.id(), SIGCONT));
        }
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        self.thaw();
        self.wanted = false;
        if let Some(server) = self.server.take() {
            // Waiting for a process blocks the thread.
            drop(tokio::task::spawn_blocking(move || server.stop()).await);
        }
    }
}

/// An interrupted campaign leaves no process behind that stands still and hears of nothing.
impl Drop for Process {
    fn drop(&mut self) {
        if let Some(id) = self.id() {
            drop(signal(id, SIGKILL));
        }
    }
}

/// Processes that carry `mark` and run, with their command lines.
pub fn left_over(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let marked = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let command = |folder: PathBuf| {
        let line = std::fs::read(folder.join("cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let id = folder.file_name()?.to_string_lossy().into_owned();
        (!words.concat().is_empty()).then(|| format!("{id} {}", words.join(" ").trim()))
    };
    processes.flatten().map(|entry| entry.path()).filter(|folder| marked(folder)).filter_map(command).collect()
}
