//! What a manifest must and must not say.

use super::{Finding, manifests};
use crate::tree::Files;

/// Finds dependencies whose version is not the workspace's, and workspace versions that accept anything.
pub fn versions(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root: toml::Table = files.get("Cargo.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let shared = root.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    for (name, value) in shared.into_iter().flatten() {
        let version = value.as_str().or_else(|| value.get("version")?.as_str());
        if version.is_some_and(|version| version.contains('*')) {
            findings.push(Finding::file("Cargo.toml", format!("`{name}` accepts any version: name one")));
        }
    }
    for (_, path, manifest) in manifests(files) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in manifest.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    let message =
                        format!("`{name}` ({kind}) must say `workspace = true`; versions stand in /Cargo.toml");
                    findings.push(Finding::file(&path, message));
                }
            }
        }
    }
    findings
}

/// Finds crates that do not take the workspace's lints.
pub fn lints(files: &Files) -> Vec<Finding> {
    let takes = |manifest: &toml::Table| manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    manifests(files)
        .into_iter()
        .filter(|(_, _, manifest)| takes(manifest) != Some(true))
        .map(|(_, path, _)| Finding::file(&path, "must take the workspace's lints: [lints] workspace = true"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::files;

    const ROOT: &str = "[workspace]\nmembers = [\"a\"]";

    #[test]
    fn a_version_of_ones_own_is_found() {
        let bad = files(&[("Cargo.toml", ROOT), ("a/Cargo.toml", "[dependencies]\nserde = \"1\"")]);
        assert_eq!(versions(&bad).len(), 1);
        let good = files(&[("Cargo.toml", ROOT), ("a/Cargo.toml", "[dependencies]\nserde.workspace = true")]);
        assert_eq!(versions(&good), []);
    }

    #[test]
    fn a_version_that_accepts_anything_is_found() {
        let bad = files(&[("Cargo.toml", "[workspace.dependencies]\na = \"*\"\nb = { version = \"1.*\" }\nc = \"1\"")]);
        assert_eq!(versions(&bad).len(), 2);
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let bad = files(&[("Cargo.toml", ROOT), ("a/Cargo.toml", "[package]\nname = \"a\"")]);
        assert_eq!(lints(&bad).len(), 1);
        let good = files(&[("Cargo.toml", ROOT), ("a/Cargo.toml", "[lints]\nworkspace = true")]);
        assert_eq!(lints(&good), []);
    }
}
