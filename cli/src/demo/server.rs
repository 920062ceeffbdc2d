//! The server the demo runs against: the one that runs, or a private one for the time it takes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_client::Client;
use muster_test_kit::{directory, process};
use serde::Deserialize;

use crate::args::GlobalArgs;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::output::Output;
use crate::target::Target;

/// How long a private server may take to become ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long it may take to stop, before it is left to the kernel, which ends it with this process.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A server to run the demo against.
#[derive(Debug)]
pub struct Server {
    target: Target,
    private: Option<Private>,
}

#[derive(Debug)]
struct Private {
    child: Child,
    data: tempfile::TempDir,
    postgres: PathBuf,
}

#[derive(Deserialize)]
struct Ready {
    ready: String,
}

impl Server {
    /// The server that runs, or a private one when none was named and none is there.
    pub async fn find_or_start(global: &GlobalArgs, output: Output) -> Result<Self> {
        match Target::find(global) {
            Ok(target) => {
                let ready = Client::new(&target.url, &target.token)?.ready().await;
                match ready {
                    Ok(()) => return Ok(Self { target, private: None }),
                    Err(muster_client::Error::Unreachable { .. }) if global.url.is_none() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(Error::NoServer(_)) => {}
            Err(error) => return Err(error),
        }
        output.note("No server runs; starting a private one for the demo ...");
        start().await
    }

    /// Where it is, and as whom to talk to it.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Whether it was started for the demo and ends with it.
    pub const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Stops a private server and removes its data.
    pub async fn stop(self) {
        let Some(Private { mut child, data, postgres }) = self.private else { return };
        let _already_gone = process::signal(child.id(), libc::SIGTERM);
        let stopped = muster_test_kit::wait::until(STOP_WITHIN, || {
            let ended = child.try_wait().ok().flatten();
            async move { ended }
        })
        .await;
        if stopped.is_none() {
            let _already_gone = child.kill();
            let _status = child.wait();
        }
        if !postgres.starts_with(data.path()) {
            let _left_behind = std::fs::remove_dir_all(&postgres);
        }
    }
}

async fn start() -> Result<Server> {
    let data = tempfile::Builder::new()
        .prefix("muster-demo-data-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .map_err(Error::doing("the folder for temporary files"))?;
    let layout = DataDir::locate(Some(data.path()))?;
    let postgres = directory::usable(&layout.postgres()).map_err(Error::doing("the data directory of Postgres"))?;
    let (out, log) = (data.path().join("ready.json"), data.path().join("dev.log"));
    let mut command = Command::new(std::env::current_exe().map_err(Error::doing("this program"))?);
    command.args(["dev", "--json", "--port", "0", "--data-dir"]).arg(data.path());
    command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&log)?);
    let mut child = process::spawn_attached(command).map_err(Error::doing("a private server"))?;
    let outcome = muster_test_kit::wait::until(READY_WITHIN, || {
        let outcome = first_line(&out).map(Ok).or_else(|| child.try_wait().ok().flatten().map(Err));
        async move { outcome }
    })
    .await;
    let url = match outcome {
        Some(Ok(ready)) => ready.ready,
        Some(Err(status)) => {
            return Err(Error::Failed(format!("the private server ended with {status}:\n{}", process::log_tail(&log))));
        }
        None => {
            let _status = child.kill().and_then(|()| child.wait());
            return Err(Error::Failed(format!("the private server was not ready within {READY_WITHIN:?}")));
        }
    };
    let token = layout.token()?.unwrap_or_default();
    Ok(Server { target: Target { url, token }, private: Some(Private { child, data, postgres }) })
}

fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).map_err(Error::io(path))
}

/// What the server says when it is ready, once that line is whole.
fn first_line(path: &Path) -> Option<Ready> {
    let text = std::fs::read_to_string(path).ok()?;
    serde_json::from_str(text.split_once('\n')?.0).ok()
}
