//! `cargo xtask compose`: whether `infra/compose.yml` fits the images, the configuration and Docker Compose.
//!
//! Docker Compose is asked where it is installed; without it, the answer says that nobody was asked.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

const FILE: &str = "infra/compose.yml";
const IMAGES: &str = "infra/Dockerfile";
const CONFIGURATION: &str = "docs/configuration.md";
/// What the person who starts the containers must give.
const GIVEN: [&str; 3] = ["MUSTER_POSTGRES_PASSWORD", "MUSTER_SERVICE_TOKEN", "MUSTER_USER_TOKEN"];

/// Checks the file against its neighbours, and has Docker Compose read it.
pub fn run(root: &Path) -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).context(path.to_owned());
    let (compose, images, configuration) = (read(FILE)?, read(IMAGES)?, read(CONFIGURATION)?);
    let mut wrong = unknown_settings(FILE, &compose, &configuration);
    wrong.extend(unknown_settings(IMAGES, &images, &configuration));
    wrong.extend(unknown_targets(&compose, &images));
    if !wrong.is_empty() {
        bail!("compose: {}", wrong.join("\ncompose: "));
    }
    let Some(program) = installed() else {
        return Ok("compose: settings and images fit; Docker Compose is not installed, so it was not asked".to_owned());
    };
    let output = understood(&program, &root.join(FILE))?;
    if !output.status.success() {
        bail!("compose: {FILE} is wrong:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok("compose: settings and images fit, and Docker Compose understands the file".to_owned())
}

/// Settings with a section (`MUSTER_A__B`) that the configuration page does not describe.
fn unknown_settings(path: &str, text: &str, configuration: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let mut unknown: Vec<String> = words
        .filter(|word| word.starts_with("MUSTER_") && word.contains("__"))
        .filter(|word| !configuration.contains(&format!("`{word}`")))
        .map(|word| format!("{path} sets {word}, which {CONFIGURATION} does not describe"))
        .collect();
    unknown.sort();
    unknown.dedup();
    unknown
}

/// Build targets that no stage of the Dockerfile has.
fn unknown_targets(compose: &str, images: &str) -> Vec<String> {
    let is_stage =
        |target: &str| images.lines().any(|line| line.starts_with("FROM ") && line.ends_with(&format!(" AS {target}")));
    let targets = compose.lines().filter_map(|line| {
        let (_, after) = line.split_once("target:")?;
        Some(after.trim_matches([' ', '}']))
    });
    targets
        .filter(|target| !is_stage(target))
        .map(|target| format!("{FILE} builds the target {target}, which {IMAGES} does not have"))
        .collect()
}

/// How to call Docker Compose, as a plugin or as a program of its own.
fn installed() -> Option<Vec<&'static str>> {
    [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(|program| {
        let version = Command::new(program[0]).args(&program[1..]).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

fn understood(program: &[&str], file: &Path) -> anyhow::Result<Output> {
    Command::new(program[0])
        .args(&program[1..])
        .arg("--file")
        .arg(file)
        .args(["config", "--quiet"])
        .envs(GIVEN.map(|name| (name, "given")))
        .output()
        .with_context(|| program.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_fits_its_neighbours() {
        run(&crate::root()).unwrap();
    }

    #[test]
    fn a_misspelt_setting_is_found() {
        let page = "| `log.kind`<br>`MUSTER_LOG__KIND` |";
        let found = unknown_settings(FILE, "MUSTER_LOG__KIND: kafka\nMUSTER_LOG__KINDS: kafka", page);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("MUSTER_LOG__KINDS"));
    }

    #[test]
    fn a_target_without_a_stage_is_found() {
        let images = "FROM debian AS base\nFROM base AS projector";
        let compose = "build: { context: .., target: projector }\nbuild: { target: project }";
        let found = unknown_targets(compose, images);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("target project,"));
    }
}
