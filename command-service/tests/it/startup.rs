//! The service as a process, started before its log is there.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_test_kit::{eventually, eventually_some, fresh_database, ports};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::support::PATIENCE;

/// A process that ends with the test.
struct Process {
    child: Child,
    client: reqwest::Client,
    url: String,
}

impl Process {
    fn start(settings: &[(&str, &str)]) -> Self {
        let [port] = ports::free().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_command-service"));
        // What building and testing set is no configuration.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MUSTER_")) {
            command.env_remove(name);
        }
        command.env("MUSTER_HTTP__HOST", "127.0.0.1").env("MUSTER_HTTP__PORT", port.to_string());
        command.env("MUSTER_AUTH__INSTANCE_TOKEN", "token-of-the-instances");
        command.env("MUSTER_TELEMETRY__LOG_LEVEL", "warn").envs(settings.iter().copied());
        for (name, _) in settings.iter().filter(|(_, value)| value.is_empty()) {
            command.env_remove(name);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { child, client, url: format!("http://127.0.0.1:{port}") }
    }

    /// Status and body; none while nobody listens.
    async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        Some((answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.ok()?).ok()?))
    }

    /// Waits until it is alive and says that it waits for the log, and why.
    async fn waits_for_the_log(&self, reason: &str) {
        eventually(PATIENCE, || async { self.get("/healthz").await.is_some_and(|(status, _)| status == 200) }).await;
        eventually(PATIENCE, || async {
            let Some((503, body)) = self.get("/readyz").await else { return false };
            let failing = &body["failing"][0];
            failing["name"] == "startup"
                && failing["reason"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("waiting for the log: ") && text.contains(reason))
        })
        .await;
        let (status, body) = self.get("/api/partitions").await.unwrap();
        assert_eq!((status, &body["code"]), (503, &"unavailable".into()));
    }

    fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends. Whether it did so in order, and what it said.
    async fn ended(&mut self) -> (bool, String) {
        let child = parking_lot::Mutex::new(&mut self.child);
        let status = eventually_some(PATIENCE, || async { child.lock().try_wait().unwrap() }).await;
        let said = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (status.success(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `url` with another port.
fn at_port(url: &str, port: u16) -> (String, u16) {
    let (head, database) = url.rsplit_once('/').unwrap();
    let (head, real) = head.rsplit_once(':').unwrap();
    (format!("{head}:{port}/{database}"), real.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_share_a_log_without_a_secret_of_the_instances() {
    let mut process = Process::start(&[
        ("MUSTER_LOG__KIND", "postgres"),
        ("MUSTER_LOG__POSTGRES_URL", "postgres://127.0.0.1:1/muster"),
        ("MUSTER_AUTH__INSTANCE_TOKEN", ""),
    ]);
    let (in_order, said) = process.ended().await;
    assert!(!in_order && said.contains("auth.instance_token"), "{said}");
    let alone = Process::start(&[("MUSTER_LOG__KIND", "memory"), ("MUSTER_AUTH__INSTANCE_TOKEN", "")]);
    eventually(PATIENCE, || async { alone.get("/readyz").await.is_some_and(|(status, _)| status == 200) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_its_log_and_then_serves() {
    let [port] = ports::free().unwrap();
    let (url, real) = at_port(&fresh_database("command").await, port);
    let mut process = Process::start(&[("MUSTER_LOG__KIND", "postgres"), ("MUSTER_LOG__POSTGRES_URL", &url)]);
    process.waits_for_the_log("refused").await;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let passing = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, real)).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    eventually(PATIENCE, || async { process.get("/readyz").await.is_some_and(|(status, _)| status == 200) }).await;
    // The routes are there: a caller without a token is told so.
    assert_eq!(process.get("/api/partitions").await.unwrap().0, 401);
    process.terminate();
    assert!(process.ended().await.0);
    passing.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_it_while_it_waits() {
    let [postgres, kafka] = ports::free().unwrap();
    let (url, bootstrap) = (format!("postgres://muster@127.0.0.1:{postgres}/none"), format!("127.0.0.1:{kafka}"));
    let settings: [&[(&str, &str)]; 2] = [
        &[("MUSTER_LOG__KIND", "postgres"), ("MUSTER_LOG__POSTGRES_URL", &url)],
        &[("MUSTER_LOG__KIND", "kafka"), ("MUSTER_LOG__KAFKA__BOOTSTRAP", &bootstrap)],
    ];
    for settings in settings {
        let mut process = Process::start(settings);
        let alive = || async { process.get("/healthz").await.is_some_and(|(status, _)| status == 200) };
        eventually(PATIENCE, alive).await;
        let (status, body) = process.get("/readyz").await.unwrap();
        assert_eq!((status, &body["failing"][0]["name"]), (503, &"startup".into()));
        process.terminate();
        // Sooner than any request to the log is given up.
        let ended = tokio::time::timeout(Duration::from_secs(10), process.ended()).await;
        assert!(ended.expect("it is held up by the log").0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waiting_cannot_mend_ends_it_and_says_so() {
    let url = fresh_database("command").await;
    let (head, _) = url.rsplit_once('/').unwrap();
    let none = format!("{head}/there_is_no_such_database");
    let mut process = Process::start(&[("MUSTER_LOG__KIND", "postgres"), ("MUSTER_LOG__POSTGRES_URL", &none)]);
    let (in_order, said) = process.ended().await;
    assert!(!in_order && said.contains("does not exist"), "{said}");

    let [port] = ports::free().unwrap();
    let (away, _) = at_port(&url, port);
    let mut process = Process::start(&[
        ("MUSTER_LOG__KIND", "postgres"),
        ("MUSTER_LOG__POSTGRES_URL", &away),
        ("MUSTER_STARTUP__PATIENCE_MS", "300"),
    ]);
    let (in_order, said) = process.ended().await;
    assert!(!in_order && said.contains("the log cannot be used"), "{said}");
}
