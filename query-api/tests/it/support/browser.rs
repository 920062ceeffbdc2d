//! A real browser without a screen, driven over its debugging protocol. It can reach nothing but this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use futures::{SinkExt, StreamExt};
use muster_test_kit::process::{Server as Process, StopBy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const DEADLINE: Duration = Duration::from_mins(1);
const PROGRAMS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// Where screenshots go, when someone wants to see them.
const SCREENSHOTS: &str = "MUSTER_TEST_SCREENSHOTS";

/// A browser with one page.
pub struct Browser {
    page: Mutex<(WebSocketStream<MaybeTlsStream<TcpStream>>, u64)>,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let program = PROGRAMS.iter().find(|path| Path::new(path).exists());
        let program = program.expect("no browser: install the package `chromium`");
        let profile = TempDir::new().unwrap();
        let mut command = Command::new(program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            // Every name but the loopback address is unknown: a page that needs the network fails.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0"])
            .args(["--window-size=1600,1000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let stop_by = StopBy { signal: libc::SIGTERM, within: Duration::from_secs(5) };
        let (log, pid) = (profile.path().join("log"), profile.path().join("pid"));
        let process = Process::spawn(command, &log, &pid, stop_by).unwrap();
        let said = profile.path().join("DevToolsActivePort");
        let port: u16 = muster_test_kit::eventually_some(DEADLINE, || {
            let port = std::fs::read_to_string(&said).ok().and_then(|text| text.lines().next()?.parse().ok());
            async move { port }
        })
        .await;
        let address: String = muster_test_kit::eventually_some(DEADLINE, || async move {
            let pages = reqwest::get(format!("http://127.0.0.1:{port}/json/list")).await.ok()?;
            let pages: Vec<Value> = pages.json().await.ok()?;
            let page = pages.iter().find(|page| page["type"] == "page")?;
            Some(page["webSocketDebuggerUrl"].as_str()?.to_owned())
        })
        .await;
        let (page, _) = tokio_tungstenite::connect_async(address).await.unwrap();
        Self { page: Mutex::new((page, 0)), _process: process, _profile: profile }
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        let mut page = self.page.lock().await;
        page.1 += 1;
        let id = page.1;
        let call = json!({ "id": id, "method": method, "params": parameters });
        page.0.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let message = tokio::time::timeout(DEADLINE, page.0.next()).await.expect("the browser does not answer");
            let Message::Text(text) = message.unwrap().unwrap() else { continue };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == id {
                return message["result"].take();
            }
        }
    }

    pub async fn open(&self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    /// What a script comes to; null when it fails, as while the page is still loading.
    pub async fn run(&self, script: &str) -> Value {
        let parameters = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        self.call("Runtime.evaluate", parameters).await["result"]["value"].take()
    }

    /// Waits until a script comes to true.
    pub async fn until(&self, script: &str) {
        let waited = muster_test_kit::wait::until(DEADLINE, || async {
            (self.run(script).await == Value::Bool(true)).then_some(())
        });
        if waited.await.is_none() {
            let shown = self.run("document.body.innerText").await;
            panic!("{script} did not come true; the page shows {shown:#}");
        }
    }

    /// Clicks the button with this text, once it is there.
    pub async fn press(&self, text: &str) {
        let find =
            format!("[...document.querySelectorAll('button')].find((button) => button.textContent === {text:?})");
        self.until(&format!("!!{find}")).await;
        self.run(&format!("{find}.click()")).await;
    }

    /// Keeps a picture of the page, when someone wants to see it.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os(SCREENSHOTS) else { return };
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }
}
