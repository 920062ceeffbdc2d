//! Every version each schema ever had, as files beside the current ones, and the gate a new version must pass.
//!
//! For the generator and the tests alone: a running service never reads these files. Versions are only ever added.

use std::io;
use std::path::{Path, PathBuf};

use crate::{catalogue, compatibility, output};

/// Why the files do not pass the gate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The current schema may not follow an earlier version. Undo the edit, or give the field a default.
    #[error("{subject} may not follow its version {version}: {source}")]
    Incompatible {
        /// The event type.
        subject: String,
        /// The earlier version.
        version: usize,
        /// What stands in the way.
        source: compatibility::Error,
    },
    /// The current schema is newer than its newest version. Record it with the generator.
    #[error("{subject} was changed and not recorded: run `cargo run -p muster-schemas --bin generate-contracts`")]
    NotRecorded {
        /// The event type.
        subject: String,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Every schema with a history, by its subject: each event type, and `agent-output`.
pub fn current() -> impl Iterator<Item = (&'static str, &'static str)> {
    let events = catalogue::event_schemas().iter().map(|schema| (schema.event_type, schema.json));
    events.chain([("agent-output", output::SCHEMA_JSON)])
}

/// The file of one version, counted from 1.
fn file(folder: &Path, subject: &str, version: usize) -> PathBuf {
    folder.join(subject).join(format!("{version}.avsc"))
}

/// The versions of `subject` in `folder`, oldest first.
pub fn versions(folder: &Path, subject: &str) -> Result<Vec<String>, Error> {
    let mut versions = Vec::new();
    loop {
        let path = file(folder, subject, versions.len() + 1);
        match std::fs::read_to_string(&path) {
            Ok(text) => versions.push(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(versions),
            Err(error) => return Err(io_error(&path)(error)),
        }
    }
}

/// Checks `avsc` against all of `versions`, in both directions: FULL_TRANSITIVE.
pub fn check(subject: &str, avsc: &str, versions: &[String]) -> Result<(), Error> {
    for (version, old) in (1..).zip(versions) {
        compatibility::check(old, avsc).map_err(|source| Error::Incompatible {
            subject: subject.to_owned(),
            version,
            source,
        })?;
    }
    Ok(())
}

/// The gate: every current schema is recorded, and compatible with all of its versions.
pub fn verify(folder: &Path) -> Result<(), Error> {
    for (subject, avsc) in current() {
        let versions = versions(folder, subject)?;
        check(subject, avsc, &versions)?;
        if versions.last().map(String::as_str) != Some(avsc) {
            return Err(Error::NotRecorded { subject: subject.to_owned() });
        }
    }
    Ok(())
}

/// Records every current schema that was changed, once it is known to be compatible. The subjects that got a version.
pub fn record(folder: &Path) -> Result<Vec<&'static str>, Error> {
    let mut changed = Vec::new();
    for (subject, avsc) in current() {
        let versions = versions(folder, subject)?;
        check(subject, avsc, &versions)?;
        if versions.last().map(String::as_str) != Some(avsc) {
            changed.push((subject, file(folder, subject, versions.len() + 1), avsc));
        }
    }
    // Only when all have passed: a refused edit leaves the folder as it was.
    for (_, path, avsc) in &changed {
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(io_error(parent))?;
        std::fs::write(path, avsc).map_err(io_error(path))?;
    }
    Ok(changed.into_iter().map(|(subject, _, _)| subject).collect())
}
