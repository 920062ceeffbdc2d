//! The jars Kafka and the registry run from, resolved by Maven once and kept in a cache folder.
//!
//! Knows `infra/kafka/pom.xml`; must never know how a server is configured.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// Which versions, and where they come from: compiled in, so that an installed binary needs no source tree.
const POM: &str = include_str!("../../infra/kafka/pom.xml");
/// Keeps the servers' logs to warnings.
const LOG4J: &str = include_str!("../../infra/kafka/log4j2.properties");
/// Written last; its text is the `pom.xml` that filled the folder.
const COMPLETE: &str = "complete";

/// Why the jars are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Java, or too old a one.
    #[error("Kafka needs Java 17 or later ({0}): install `openjdk-17-jre-headless`, or set JAVA_HOME")]
    NoJava(String),
    /// No Maven.
    #[error("Kafka's jars are resolved by Maven, which did not start ({0}): install `maven`")]
    NoMaven(#[source] io::Error),
    /// Maven failed; usually the network.
    #[error("Maven could not resolve Kafka's jars:\n{0}")]
    Maven(String),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl Error {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Where everything needed to run a broker and a registry is.
#[derive(Clone, Debug)]
pub struct Jars {
    java: PathBuf,
    cache: PathBuf,
}

impl Jars {
    /// Finds them in the cache, or has Maven fill it: some 170 MB the first time, nothing after that.
    ///
    /// Blocks. Processes that do this at the same time wait for the first.
    pub fn ensure() -> Result<Self, Error> {
        let java = java()?;
        let cache = cache_directory().join("kafka");
        if !is_complete(&cache) {
            fill(&cache)?;
        }
        Ok(Self { java, cache })
    }

    /// The `java` program.
    pub fn java(&self) -> &Path {
        &self.java
    }

    /// A `java` command that can run any of Kafka's main classes.
    pub fn kafka(&self, jvm: &[&str]) -> Command {
        let mut command = Command::new(&self.java);
        let log4j = self.cache.join("log4j2.properties");
        command.args(jvm).arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
        command.arg("-cp").arg(self.cache.join("libs/*"));
        command
    }

    /// The registry's runnable jar.
    pub fn registry(&self) -> Result<PathBuf, Error> {
        let folder = self.cache.join("registry");
        let mut entries = std::fs::read_dir(&folder).map_err(Error::io(&folder))?;
        entries
            .find_map(|entry| {
                let path = entry.ok()?.path();
                path.to_str()?.ends_with("-runner.jar").then_some(path)
            })
            .ok_or_else(|| Error::io(&folder)(io::Error::new(io::ErrorKind::NotFound, "no *-runner.jar")))
    }
}

/// `$MUSTER_CACHE_DIR`, or `.cache` in the source tree this was built from, or the user's own cache folder.
pub fn cache_directory() -> PathBuf {
    if let Some(given) = std::env::var_os("MUSTER_CACHE_DIR") {
        return given.into();
    }
    let source_tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|tree| tree.join("Cargo.toml").is_file());
    if let Some(source_tree) = source_tree {
        return source_tree.join(".cache");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from).join("muster")
}

fn is_complete(cache: &Path) -> bool {
    std::fs::read_to_string(cache.join(COMPLETE)).is_ok_and(|pom| pom == POM)
}

fn fill(cache: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(cache).map_err(Error::io(cache))?;
    let _held = loop {
        match process::hold(cache).map_err(Error::io(cache))? {
            Some(held) => break held,
            None => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    };
    if is_complete(cache) {
        return Ok(());
    }
    for old in ["libs", "registry"] {
        match std::fs::remove_dir_all(cache.join(old)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(cache)(error)),
            _ => {}
        }
    }
    let pom = cache.join("pom.xml");
    std::fs::write(&pom, POM).map_err(Error::io(&pom))?;
    std::fs::write(cache.join("log4j2.properties"), LOG4J).map_err(Error::io(cache))?;
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&pom)
        .arg(format!("-Dmuster.cache={}", cache.display()))
        .arg("generate-resources")
        .output()
        .map_err(Error::NoMaven)?;
    if !output.status.success() {
        return Err(Error::Maven(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    std::fs::write(cache.join(COMPLETE), POM).map_err(Error::io(cache))
}

/// `$JAVA_HOME/bin/java` or the `java` on the `PATH`, if it is recent enough.
fn java() -> Result<PathBuf, Error> {
    const OLDEST: u32 = 17;
    let program = match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    };
    let output = Command::new(&program)
        .arg("-version")
        .output()
        .map_err(|error| Error::NoJava(format!("{}: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    match major_version(&text) {
        Some(version) if version >= OLDEST => Ok(program),
        Some(version) => Err(Error::NoJava(format!("{} is version {version}", program.display()))),
        None => Err(Error::NoJava(format!("{} says: {text}", program.display()))),
    }
}

/// The `17` of `openjdk version "17.0.15" 2025-04-15`; `8` of the old `"1.8.0_292"`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let version = version.strip_prefix("1.").unwrap_or(version);
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_java_versions() {
        assert_eq!(major_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK"), Some(17));
        assert_eq!(major_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(major_version("openjdk version \"21-ea\""), Some(21));
        assert_eq!(major_version("java version \"1.8.0_292\""), Some(8));
        assert_eq!(major_version("command not found"), None);
    }

    #[test]
    fn a_cache_filled_from_another_pom_is_not_complete() {
        let cache = tempfile::tempdir().unwrap();
        assert!(!is_complete(cache.path()));
        std::fs::write(cache.path().join(COMPLETE), "another").unwrap();
        assert!(!is_complete(cache.path()));
        std::fs::write(cache.path().join(COMPLETE), POM).unwrap();
        assert!(is_complete(cache.path()));
    }
}
