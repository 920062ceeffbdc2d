//! `cargo xtask containers`: whether the files for Docker Compose and Helm fit the images and the configuration.
//!
//! Docker Compose and Helm read their files where they are installed; where not, the answer says so.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::tree;

const FILE: &str = "infra/compose.yml";
const CHART: &str = "infra/helm/muster";
const IMAGES: &str = "infra/Dockerfile";
const VALUES: &str = "infra/helm/muster/values.yaml";
const CONFIGURATION: &str = "docs/configuration.md";
/// Where files say how long a service may take to stop before it is killed, in seconds.
const STOPS: [(&str, &str); 2] = [(FILE, "stop_grace_period:"), (VALUES, "terminationGracePeriodSeconds:")];
/// What the person who starts the containers must give.
const GIVEN: [&str; 4] =
    ["MUSTER_POSTGRES_PASSWORD", "MUSTER_INSTANCE_TOKEN", "MUSTER_SERVICE_TOKEN", "MUSTER_USER_TOKEN"];
/// The same for Helm, with everything that is off by default switched on.
const HELM_VALUES: [&str; 6] = [
    "--set",
    "secret.readStoreUrl=postgres://given,secret.serviceToken=given,secret.instanceToken=given",
    "--set",
    "secret.tokens[0].token=given,secret.tokens[0].user=given",
    "--set",
    "ingress.enabled=true,ingress.tlsSecret=given",
];

/// Checks the files against their neighbours, and has the programs they are for read them.
pub fn run(root: &Path) -> anyhow::Result<String> {
    let files = tree::read(root, |path| path.starts_with("infra/") || path == CONFIGURATION)?;
    let text = |path: &str| files.get(path).with_context(|| format!("{path} is missing"));
    let (compose, images, configuration) = (text(FILE)?, text(IMAGES)?, text(CONFIGURATION)?);
    let mut wrong = unknown_targets(compose, images);
    for (path, text) in files.iter().filter(|(path, _)| *path != CONFIGURATION) {
        wrong.extend(unknown_settings(path, text, configuration));
    }
    for (path, key) in STOPS {
        wrong.extend(short_stops(path, text(path)?, key, stop_ms(configuration)?));
    }
    let compose =
        ask(root, installed(&[&["docker", "compose"], &["docker-compose"]]), &["--file", FILE, "config", "-q"]);
    let helm = ask(root, installed(&[&["helm"]]), &[&["template", "release", CHART], &HELM_VALUES[..]].concat());
    for (name, answer) in [("Docker Compose", &compose), ("Helm", &helm)] {
        if let Answer::Refused(output) = answer {
            wrong.push(format!("{name} does not understand its file: {output}"));
        }
    }
    if wrong.is_empty() {
        Ok(format!("containers: settings and images fit; Docker Compose {compose}; Helm {helm}"))
    } else {
        bail!("containers: {}", wrong.join("\ncontainers: "))
    }
}

/// What a program said about its file.
enum Answer {
    Understood,
    Refused(String),
    NotInstalled,
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Understood => "understands its file",
            Self::Refused(_) => "refuses its file",
            Self::NotInstalled => "is not installed and was not asked",
        })
    }
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

/// How long a service may take to stop, in milliseconds: a command service leaves within the grace, drains, and gives its
/// requests and then its writers the grace again.
fn stop_ms(configuration: &str) -> anyhow::Result<u64> {
    Ok(3 * default_of(configuration, "http.shutdown_grace_ms")? + default_of(configuration, "http.drain_ms")?)
}

/// What the configuration page gives as the number a key has by default.
fn default_of(configuration: &str, key: &str) -> anyhow::Result<u64> {
    let row = configuration.lines().find(|line| line.starts_with(&format!("| `{key}`<br>")));
    let value = row.and_then(|row| row.split('|').nth(2)).map(|value| value.trim_matches([' ', '`']));
    value.and_then(|value| value.parse().ok()).with_context(|| format!("{CONFIGURATION} gives no number for {key}"))
}

/// Times after which a service is killed though it may take longer to stop; also none at all, as what the system has for
/// that is shorter.
fn short_stops(path: &str, text: &str, key: &str, stop_ms: u64) -> Vec<String> {
    let given: Vec<u64> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key))
        .filter_map(|value| value.trim().trim_end_matches('s').parse().ok())
        .collect();
    if given.is_empty() {
        return vec![format!("{path} does not say how long a service may take to stop (`{key}`)")];
    }
    let short = given.into_iter().filter(|seconds| seconds * 1_000 < stop_ms);
    short
        .map(|seconds| format!("{path} kills after {seconds} s, and a service may take {stop_ms} ms to stop"))
        .collect()
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

/// The first of these programs that is installed.
fn installed<'a>(programs: &[&'a [&'a str]]) -> Option<&'a [&'a str]> {
    programs.iter().copied().find(|program| {
        let version = Command::new(program[0]).args(&program[1..]).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

fn ask(root: &Path, program: Option<&[&str]>, arguments: &[&str]) -> Answer {
    let Some(program) = program else { return Answer::NotInstalled };
    let given = GIVEN.map(|name| (name, "given"));
    let command = Command::new(program[0]).args(&program[1..]).args(arguments).envs(given).current_dir(root).output();
    match command {
        Ok(output) if output.status.success() => Answer::Understood,
        Ok(output) => Answer::Refused(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_fit_their_neighbours() {
        run(&crate::root()).unwrap();
    }

    #[test]
    fn a_program_that_refuses_is_heard() {
        let root = crate::root();
        assert!(matches!(ask(&root, Some(&["false"]), &[]), Answer::Refused(_)));
        assert!(matches!(ask(&root, Some(&["true"]), &[]), Answer::Understood));
        assert!(matches!(ask(&root, installed(&[&["no-such-program"]]), &[]), Answer::NotInstalled));
    }

    #[test]
    fn a_misspelt_setting_is_found() {
        let page = "| `log.kind`<br>`MUSTER_LOG__KIND` |";
        let found = unknown_settings(FILE, "MUSTER_LOG__KIND: kafka\nMUSTER_LOG__KINDS: kafka", page);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("MUSTER_LOG__KINDS"));
    }

    #[test]
    fn a_service_that_is_killed_while_it_stops_is_found() {
        let page = "| `http.drain_ms`<br>`X` | `1000` | y |\n| `http.shutdown_grace_ms`<br>`X` | `10000` | y |";
        let needed = stop_ms(page).unwrap();
        let key = "stop_grace_period:";
        let stops = |text: &str| short_stops(FILE, text, key, needed);
        assert!(stops("  stop_grace_period: 31s\n  stop_grace_period: 60s").is_empty());
        assert!(stops("  stop_grace_period: 60s\n  stop_grace_period: 30s")[0].contains("after 30 s"));
        assert!(stops("restart: always")[0].contains(key));
        assert!(stop_ms("| `http.drain_ms`<br>`X` | `1000` | y |").is_err());
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
