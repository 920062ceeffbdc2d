//! `muster dev` as a child process: started, found ready, stopped or killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use muster_client::Client;
use muster_test_kit::process;
use muster_test_kit::shared::new_folder;
use muster_test_kit::wait::until;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::WITHIN;

/// The binary under test.
pub const MUSTER: &str = env!("CARGO_BIN_EXE_muster");

/// What the server says when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    #[serde(rename = "ready")]
    pub url: String,
    pub token_file: PathBuf,
    pub kafka: Option<String>,
    pub registry: Option<String>,
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct DevServer {
    child: Child,
    pub folder: PathBuf,
    pub ready: Ready,
}

/// Another user of every test server, and their token.
pub const STRANGER_TOKEN: &str = "stranger-token-of-the-tests";
/// Configuration that every test server has.
const VARIABLES: [(&str, &str); 4] = [
    ("MUSTER_AUTH__TOKENS", r#"[{ user = "stranger", token = "stranger-token-of-the-tests" }]"#),
    ("MUSTER_RUNNER__LEASE_MS", "4000"),
    ("MUSTER_RUNNER__HEARTBEAT_MS", "1000"),
    ("USER", "ada"),
];

impl DevServer {
    /// Starts one on a new folder and a free port.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_on(&new_folder("dev"), "0", arguments).await
    }

    /// Starts one on this folder and port.
    pub async fn start_on(folder: &Path, port: &str, arguments: &[&str]) -> Self {
        let ready_file = folder.join(format!("ready-{}.json", uuid::Uuid::new_v4().simple()));
        let log = folder.join("dev.log");
        let mut command = Command::new(MUSTER);
        command.args(["dev", "--json", "--port", port, "--data-dir"]).arg(folder.join("data")).args(arguments);
        command.envs(VARIABLES).env_remove("MUSTER_URL").env_remove("MUSTER_TOKEN");
        let out = std::fs::File::create(&ready_file).expect("a file for the server's output");
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a file for its log");
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let mut child = process::spawn_attached(command).expect("the server starts");
        let outcome = until(WITHIN, || {
            let ended = child.try_wait().ok().flatten();
            let text = std::fs::read_to_string(&ready_file).unwrap_or_default();
            let ready = text.split_once('\n').and_then(|(line, _)| serde_json::from_str::<Ready>(line).ok());
            async move { ready.map(Ok).or(ended.map(Err)) }
        })
        .await;
        match outcome {
            Some(Ok(ready)) => Self { child, folder: folder.to_owned(), ready },
            other => panic!("the server is not ready ({other:?}):\n{}", process::log_tail(&log)),
        }
    }

    pub fn url(&self) -> &str {
        &self.ready.url
    }

    /// The port, to start again on.
    pub fn port(&self) -> String {
        self.url().rsplit(':').next().expect("a URL with a port").to_owned()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The user's token.
    pub fn token(&self) -> String {
        std::fs::read_to_string(&self.ready.token_file).expect("the token").trim().to_owned()
    }

    /// The services' token, which may do anything.
    pub fn service_token(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("service-token")).expect("the token").trim().to_owned()
    }

    pub fn client(&self) -> Client {
        Client::new(self.url(), &self.token()).expect("a client").with_source("cli")
    }

    pub fn stranger(&self) -> Client {
        Client::new(self.url(), STRANGER_TOKEN).expect("a client")
    }

    /// Ends it as a crash of the machine would, without a chance to clean up.
    pub fn kill(mut self) -> PathBuf {
        self.child.kill().expect("the server is killed");
        self.child.wait().expect("the server has ended");
        self.folder.clone()
    }

    /// Asks it to stop, as Ctrl-C does, and waits.
    pub fn interrupt(mut self) -> ExitStatus {
        process::signal(self.child.id(), libc::SIGINT).expect("the server is asked to stop");
        self.child.wait().expect("the server has ended")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("dev.log")).unwrap_or_default()
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _gone_already = process::signal(self.child.id(), libc::SIGTERM);
            let _status = self.child.wait();
        }
        if std::thread::panicking() {
            let _shown = std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes());
        }
    }
}

/// A server without agents that many tests share: each makes projects of its own. Ends with the test process.
pub async fn shared() -> &'static DevServer {
    static SHARED: OnceCell<DevServer> = OnceCell::const_new();
    SHARED.get_or_init(|| DevServer::start(&["--no-runner"])).await
}

/// The same with agents.
pub async fn shared_with_agents() -> &'static DevServer {
    static SHARED: OnceCell<DevServer> = OnceCell::const_new();
    SHARED.get_or_init(|| DevServer::start(&[])).await
}
