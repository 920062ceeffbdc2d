//! `cargo xtask compose`: whether `infra/compose.yml` is understood.
//!
//! Docker Compose is asked where it is installed; without it, the answer says that nobody was asked.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

const FILE: &str = "infra/compose.yml";

/// Has Docker Compose read the file.
pub fn run(root: &Path) -> anyhow::Result<String> {
    let Some(compose) = installed() else {
        return Ok(format!("compose: Docker Compose is not installed, so {FILE} was not read by it"));
    };
    let output = validate(&compose, &root.join(FILE))?;
    if !output.status.success() {
        bail!("compose: {FILE} is wrong:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(format!("compose: {FILE} is understood"))
}

/// How to call Docker Compose, as a plugin or as a program of its own.
fn installed() -> Option<Vec<&'static str>> {
    [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(|compose| {
        let version = Command::new(compose[0]).args(&compose[1..]).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

fn validate(compose: &[&str], file: &Path) -> anyhow::Result<Output> {
    Command::new(compose[0])
        .args(&compose[1..])
        .arg("--file")
        .arg(file)
        .args(["config", "--quiet"])
        .output()
        .with_context(|| compose.join(" "))
}
