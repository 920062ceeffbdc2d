//! The command line as a program: arguments in; exit code, output and errors out.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

use super::server::{DevServer, MUSTER};

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its output as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Its output as lines of JSON.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// A command against a server; or, without one, on an empty data directory.
pub fn command(server: Option<&DevServer>, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(MUSTER);
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command.env_remove("MUSTER_URL").env_remove("MUSTER_TOKEN").env_remove("MUSTER_DATA_DIR");
    match server {
        Some(server) => command.env("MUSTER_DATA_DIR", server.data_dir()),
        None => command.env("MUSTER_DATA_DIR", directory.join("no-data-here")),
    };
    command
}

/// Runs it.
pub async fn run(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("the command's thread");
    let output = output.expect("the command starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A card's whole state; `None` while the read side has not heard of it.
pub async fn state(server: &DevServer, task: &str) -> Option<serde_json::Value> {
    let ran = muster(server, &["status", task, "--json"]).await;
    match ran.code {
        0 => Some(ran.json()),
        4 => None,
        _ => panic!("{ran:?}"),
    }
}

/// Runs `muster` against a server from a neutral directory.
pub async fn muster(server: &DevServer, arguments: &[&str]) -> Ran {
    run(command(Some(server), Path::new("/"), arguments)).await
}
