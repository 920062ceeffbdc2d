//! Who may depend on whom: the architecture's dependency arrows.

use super::{Finding, manifests};
use crate::tree::Files;

/// What each crate of ours may use. ARCHITECTURE.md draws the same arrows and says why.
const INNER: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("schemas", &["domain"]),
    ("event-log", &["domain", "schemas"]),
    ("read-store", &["domain"]),
    ("service-kit", &[]),
    ("command-service", &["domain", "schemas", "event-log", "service-kit"]),
    ("projector", &["domain", "schemas", "event-log", "read-store", "service-kit"]),
    ("query-api", &["read-store", "domain", "client", "service-kit"]),
    ("client", &["schemas"]),
    ("runner", &["client", "service-kit"]),
    (
        "cli",
        &[
            "client",
            "command-service",
            "event-log",
            "projector",
            "query-api",
            "read-store",
            "runner",
            "service-kit",
            "test-kit",
        ],
    ),
    // Beside the client, what it measures its baselines with.
    ("loadtest", &["client", "event-log", "read-store", "service-kit", "test-kit"]),
    ("test-kit", &[]),
    ("xtask", &[]),
];

/// What the tests of any crate may use besides: real servers, and a sample of every event.
const IN_TESTS: [&str; 2] = ["test-kit", "schemas"];

/// Libraries that only some crates may use directly.
const OUTER: [(&str, &[&str]); 6] = [
    ("rdkafka", &["event-log"]),
    ("schema_registry_converter", &["event-log"]),
    ("sqlx", &["event-log", "read-store"]),
    ("async-graphql", &["query-api"]),
    ("ratatui", &["cli"]),
    ("crossterm", &["cli"]),
];

/// Libraries the domain may not use: it does no I/O, waits for nothing and asks no clock.
const IMPURE: [&str; 8] = ["tokio", "futures", "axum", "reqwest", "tracing", "metrics", "rand", "figment"];

/// Finds dependencies between our crates that no arrow allows.
pub fn inner(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, path, manifest) in manifests(files) {
        let Some((_, allowed)) = INNER.iter().find(|(name, _)| *name == folder) else {
            findings.push(Finding::file(&path, "the architecture has no arrows for this crate: add it to INNER"));
            continue;
        };
        for (kind, used) in dependencies(&manifest) {
            let Some(used) = used.strip_prefix("muster-") else { continue };
            let in_tests = kind == "dev-dependencies" && IN_TESTS.contains(&used);
            if !allowed.contains(&used) && !in_tests {
                let message = format!(
                    "`{folder}` may not use `{used}` ({kind}); it may use: {}",
                    if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") }
                );
                findings.push(Finding::file(&path, message));
            }
        }
    }
    findings
}

/// Finds libraries used outside the crates they are kept in.
pub fn outer(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, path, manifest) in manifests(files) {
        for (kind, used) in dependencies(&manifest) {
            if let Some((_, homes)) = OUTER.iter().find(|(library, _)| *library == used)
                && !homes.contains(&folder.as_str())
            {
                let message = format!("`{used}` ({kind}) is used only in {}", homes.join(" and "));
                findings.push(Finding::file(&path, message));
            }
            if folder == "domain" && kind != "dev-dependencies" && IMPURE.contains(&used.as_str()) {
                findings.push(Finding::file(&path, format!("the domain is pure and may not use `{used}`")));
            }
        }
    }
    findings
}

/// Every dependency a manifest names, with the table it stands in; renamed ones by their real name.
fn dependencies(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let by_target = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = std::iter::once(manifest).chain(by_target.filter_map(|(_, target)| target.as_table()));
    let mut found = Vec::new();
    for table in tables {
        for kind in KINDS {
            for (name, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let real = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                found.push((kind, real.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::files;

    fn with(folder: &str, manifest: &str) -> Files {
        let root = format!("[workspace]\nmembers = [\"{folder}\"]");
        files(&[("Cargo.toml", &root), (&format!("{folder}/Cargo.toml"), manifest)])
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        let found = inner(&with("client", "[dependencies]\nmuster-read-store.workspace = true"));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`client` may not use `read-store`"), "{found:?}");
    }

    #[test]
    fn an_arrow_in_tests_or_for_one_target_or_renamed_is_found_too() {
        for manifest in [
            "[dev-dependencies]\nmuster-projector.workspace = true",
            "[build-dependencies]\nmuster-projector.workspace = true",
            "[target.'cfg(unix)'.dependencies]\nmuster-projector.workspace = true",
            "[dependencies]\nother = { package = \"muster-projector\", path = \"../projector\" }",
        ] {
            assert_eq!(inner(&with("client", manifest)).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn tests_may_start_servers_but_the_product_may_not() {
        assert_eq!(inner(&with("projector", "[dev-dependencies]\nmuster-test-kit.workspace = true")), []);
        assert_eq!(inner(&with("projector", "[dependencies]\nmuster-test-kit.workspace = true")).len(), 1);
    }

    #[test]
    fn a_crate_without_arrows_is_found() {
        assert_eq!(inner(&with("newcomer", "")).len(), 1);
    }

    #[test]
    fn a_library_outside_its_home_is_found() {
        assert_eq!(outer(&with("event-log", "[dependencies]\nrdkafka.workspace = true")), []);
        assert_eq!(outer(&with("projector", "[dependencies]\nrdkafka.workspace = true")).len(), 1);
        assert_eq!(outer(&with("query-api", "[dev-dependencies]\nsqlx.workspace = true")).len(), 1);
    }

    #[test]
    fn an_impure_domain_is_found() {
        assert_eq!(outer(&with("domain", "[dependencies]\ntokio.workspace = true")).len(), 1);
        assert_eq!(outer(&with("domain", "[dependencies]\nserde.workspace = true")), []);
    }
}
