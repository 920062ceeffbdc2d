//! Puts the layers together, lowest first: defaults, a service's own defaults, user file, project file, environment, flags.
//! It must never guess: a key nobody knows is an error that names the key and its source.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};
use serde::Serialize;
use serde_json::Value as Json;

use super::environment::{Environment, variable_name};
use super::secret::REDACTED;
use super::{Config, validate};

/// Why a configuration was refused. The process must stop and show the message; none is worth a retry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that no section knows.
    #[error("unknown configuration key `{key}` in {place}{hint}")]
    UnknownKey { key: String, place: String, hint: String },
    /// A value of the wrong type, or a file that is not TOML. The message names key and source.
    #[error("configuration: {0}")]
    Invalid(#[from] Box<figment::Error>),
    /// A value that cannot work.
    #[error("configuration key `{key}`: {reason}")]
    Value { key: String, reason: String },
    /// Flags that do not serialise to a table; a mistake of the program, not of its user.
    #[error("flags cannot be used as configuration: {0}")]
    Flags(String),
}

/// Builds a [`Config`] from explicit layers. [`Loader::standard`] has the usual files and the process's environment.
#[derive(Debug, Default)]
pub struct Loader {
    service_defaults: Vec<Json>,
    files: Vec<PathBuf>,
    variables: Vec<(String, String)>,
    flags: Vec<Json>,
}

impl Loader {
    /// No files, no variables: defaults only, until layers are added.
    pub fn empty() -> Self {
        Self::default()
    }

    /// `~/.config/muster/config.toml` (or `$XDG_CONFIG_HOME/muster/config.toml`), `./.muster/config.toml`, `MUSTER_*`.
    pub fn standard() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { files: standard_files(), ..Self::empty() }.variables(variables)
    }

    /// Defaults of one service, below every file: `json!({"http": {"port": 4401}})` or any serialisable struct.
    #[must_use]
    pub fn service_defaults(mut self, defaults: impl Serialize) -> Self {
        self.service_defaults.push(serde_json::to_value(defaults).unwrap_or(Json::Null));
        self
    }

    /// A TOML file, above those added before it. A file that does not exist is an empty layer.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.files.push(path.as_ref().to_owned());
        self
    }

    /// Environment variables. Names that do not start with `MUSTER_` are passed over.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Flags, above everything: any serialisable struct shaped like [`Config`]; `None` leaves the lower layer alone.
    /// Secrets among them are plain `String`s, as a `Secret` serialises without its value.
    #[must_use]
    pub fn flags(mut self, flags: impl Serialize) -> Self {
        self.flags.push(serde_json::to_value(flags).unwrap_or(Json::Null));
        self
    }

    /// Merges the layers, refuses unknown keys, converts, checks.
    pub fn load(self) -> Result<Config, Error> {
        let shape = shape();
        let mut figment = Figment::new();
        for defaults in self.service_defaults {
            figment = add(figment, table(defaults)?, &shape, "the service's own defaults")?;
        }
        for path in &self.files {
            if path.exists() {
                figment = add(figment, Toml::file_exact(path), &shape, &path.display().to_string())?;
            }
        }
        figment = add(figment, Environment::new(self.variables, shape.clone()), &shape, ENVIRONMENT)?;
        for flags in self.flags {
            figment = add(figment, table(flags)?, &shape, "the flags")?;
        }
        let config: Config = figment.extract_lossy().map_err(Box::new)?;
        validate::validate(&config)?;
        Ok(config)
    }
}

/// The files of [`Loader::standard`], lowest layer first, whether they are there or not.
pub fn standard_files() -> Vec<PathBuf> {
    let user_dir = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    let user_file = user_dir.map(|dir| dir.join("muster/config.toml"));
    user_file.into_iter().chain([".muster/config.toml".into()]).collect()
}

const ENVIRONMENT: &str = "the environment";

/// Every key there is, as JSON: leaves without a default are null.
pub(super) fn shape() -> Json {
    serde_json::to_value(Config::default()).expect("a configuration of plain data serialises")
}

/// Keys below these are the user's own.
const FREE_FORM: [&str; 1] = ["log.kafka.extra"];

fn add(figment: Figment, layer: impl Provider, shape: &Json, place: &str) -> Result<Figment, Error> {
    let data = layer.data().map_err(Box::new)?;
    for dict in data.values() {
        check_keys(dict, shape, &mut Vec::new(), place)?;
    }
    Ok(figment.merge(layer))
}

fn table(mut json: Json) -> Result<Serialized<Json>, Error> {
    strip_nulls(&mut json);
    if !json.is_object() {
        return Err(Error::Flags("they are not a table".to_owned()));
    }
    if holds_redacted(&json) {
        return Err(Error::Flags("a Secret among them serialises without its value; use a String".to_owned()));
    }
    Ok(Serialized::from(json, Profile::Default))
}

fn strip_nulls(json: &mut Json) {
    if let Json::Object(map) = json {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(strip_nulls);
    }
}

fn holds_redacted(json: &Json) -> bool {
    match json {
        Json::String(text) => text == REDACTED,
        Json::Array(items) => items.iter().any(holds_redacted),
        Json::Object(map) => map.values().any(holds_redacted),
        _ => false,
    }
}

fn check_keys(dict: &Dict, shape: &Json, path: &mut Vec<String>, place: &str) -> Result<(), Error> {
    for (key, value) in dict {
        path.push(key.clone());
        let Some(known) = shape.get(key) else {
            return Err(unknown_key(path, shape, place));
        };
        if let (Value::Dict(_, child), Json::Object(_)) = (value, known)
            && !FREE_FORM.contains(&path.join(".").as_str())
        {
            check_keys(child, known, path, place)?;
        }
        path.pop();
    }
    Ok(())
}

fn unknown_key(path: &[String], shape: &Json, place: &str) -> Error {
    let place = if place == ENVIRONMENT { format!("the variable {}", variable_name(path)) } else { place.to_owned() };
    let siblings: Vec<_> = shape.as_object().into_iter().flatten().map(|(key, _)| format!("`{key}`")).collect();
    let hint = if siblings.is_empty() { String::new() } else { format!(" (known here: {})", siblings.join(", ")) };
    Error::UnknownKey { key: path.join("."), place, hint }
}
