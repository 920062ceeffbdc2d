//! `MUSTER_*` variables as a configuration source. It must never read a file, and it takes the variables as an argument
//! so that a test needs no process-wide state.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde_json::Value as Json;

/// Every variable of Muster starts with this.
pub const PREFIX: &str = "MUSTER_";

/// Variables with the prefix that are not configuration: the client's address, token and data directory, build caches, and
/// what an agent is told of its work.
const IGNORED: [&str; 12] = [
    "MUSTER_URL",
    "MUSTER_TOKEN",
    "MUSTER_DATA_DIR",
    "MUSTER_CACHE_DIR",
    "MUSTER_PG_BIN",
    "MUSTER_TASK_FILE",
    "MUSTER_OUT_DIR",
    "MUSTER_ROLE",
    "MUSTER_TASK_ID",
    "MUSTER_RUN_ID",
    "MUSTER_SESSION_ID",
    "MUSTER_ITERATION",
];
const IGNORED_PREFIX: &str = "MUSTER_TEST_";

/// Variables parsed against the shape of the defaults: text stays text even when it looks like a number.
pub(super) struct Environment {
    variables: Vec<(String, String)>,
    shape: Json,
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>, shape: Json) -> Self {
        let variables = variables.into_iter().filter(|(name, _)| is_configuration(name)).collect();
        Self { variables, shape }
    }
}

fn is_configuration(name: &str) -> bool {
    // A program that can make no mistake on purpose refuses to be told to.
    let chooses_mistake = cfg!(feature = "mutants") && name == "MUSTER_MUTANT";
    name.starts_with(PREFIX) && !name.starts_with(IGNORED_PREFIX) && !IGNORED.contains(&name) && !chooses_mistake
}

/// `MUSTER_HTTP__PORT` -> `["http", "port"]`.
fn key_path(name: &str) -> Vec<String> {
    name[PREFIX.len()..].to_ascii_lowercase().split("__").map(str::to_owned).collect()
}

/// `["http", "port"]` -> `MUSTER_HTTP__PORT`.
pub(super) fn variable_name<S: AsRef<str>>(path: &[S]) -> String {
    let path: Vec<_> = path.iter().map(|part| part.as_ref().to_ascii_uppercase()).collect();
    format!("{PREFIX}{}", path.join("__"))
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment").interpolater(|_, keys| variable_name(keys))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut root = Dict::new();
        for (name, text) in &self.variables {
            let path = key_path(name);
            let default = path.iter().try_fold(&self.shape, |node, part| node.get(part));
            insert(&mut root, &path, parse(text, default));
        }
        Ok(Profile::Default.collect(root))
    }
}

/// Lists may be written `a,b` or `[…]`; tables `{…}`; everything else stays text and is converted when extracted.
fn parse(text: &str, default: Option<&Json>) -> Value {
    let trimmed = text.trim();
    match default {
        Some(Json::Array(_)) if !trimmed.starts_with('[') => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        Some(Json::Array(_) | Json::Object(_)) => trimmed.parse().unwrap_or_else(|_| Value::from(text)),
        _ => Value::from(text),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        dict.insert(first.clone(), value);
        return;
    }
    let child = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, child) = child {
        insert(child, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_configuration, key_path, variable_name};

    #[test]
    fn a_variable_names_a_path_and_back() {
        assert_eq!(key_path("MUSTER_LOG__KAFKA__TOPIC_PREFIX"), ["log", "kafka", "topic_prefix"]);
        assert_eq!(variable_name(&["log", "kafka", "topic_prefix"]), "MUSTER_LOG__KAFKA__TOPIC_PREFIX");
    }

    #[test]
    fn variables_of_clients_caches_and_tests_are_not_configuration() {
        for name in super::IGNORED.into_iter().chain(["MUSTER_TEST_KAFKA", "PATH"]) {
            assert!(!is_configuration(name), "{name}");
        }
        assert!(is_configuration("MUSTER_HTTP__PORT"));
        assert!(is_configuration("MUSTER_RUNNER__TOKEN"));
    }
}
