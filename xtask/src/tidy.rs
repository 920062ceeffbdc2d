//! `cargo xtask tidy`: the rules of this repository that the compiler does not know.
//!
//! Each check takes the files and returns what it found, so a unit test can show it failing on a bad input.

mod arrows;
mod manifests;
mod map;
mod sources;

use std::fmt;
use std::path::Path;

use anyhow::bail;

use crate::tree::{self, Files};

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    /// Counted from 1; `None` when the whole file is meant.
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn file(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, message: message.into() }
    }

    fn line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::file(path, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.message),
            None => write!(formatter, "{}: {}", self.path, self.message),
        }
    }
}

type Check = fn(&Files) -> Vec<Finding>;

const CHECKS: [Check; 9] = [
    arrows::inner,
    arrows::outer,
    manifests::versions,
    manifests::lints,
    map::names_every_member,
    sources::module_docs,
    sources::length,
    sources::forbidden_attributes,
    sources::machine_paths,
];

/// Runs every check over the repository.
pub fn run(root: &Path) -> anyhow::Result<String> {
    let files = tree::read(root, is_checked)?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&files)).collect();
    findings.sort();
    if findings.is_empty() {
        return Ok(format!("tidy: {} checks over {} files found nothing", CHECKS.len(), files.len()));
    }
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    bail!("{}\ntidy: {} found", list.join("\n"), findings.len())
}

fn is_checked(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "Cargo.toml" || name == "ARCHITECTURE.md" || name.rsplit_once('.').is_some_and(|(_, end)| end == "rs")
}

/// The folders of the workspace's members, as its manifest lists them.
fn members(files: &Files) -> Vec<String> {
    let manifest: toml::Table = files.get("Cargo.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    members.into_iter().flatten().filter_map(|member| Some(member.as_str()?.to_owned())).collect()
}

/// The members' manifests, parsed: folder, path and content.
fn manifests(files: &Files) -> Vec<(String, String, toml::Table)> {
    members(files)
        .into_iter()
        .filter_map(|folder| {
            let path = format!("{folder}/Cargo.toml");
            let manifest = files.get(&path)?.parse().ok()?;
            Some((folder, path, manifest))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let report = run(&crate::root()).unwrap();
        assert!(report.contains("found nothing"), "{report}");
    }

    #[test]
    fn a_finding_says_where() {
        assert_eq!(Finding::line("a.rs", 3, "wrong").to_string(), "a.rs:3: wrong");
        assert_eq!(Finding::file("a.rs", "wrong").to_string(), "a.rs: wrong");
    }
}
