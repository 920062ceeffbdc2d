//! Finds the installed Postgres and runs its client.
//!
//! Must never know a cluster's layout.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// Where distributions put one folder per major version.
const BY_VERSION: [&str; 3] = ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/postgresql"];

/// The folder that holds `initdb`, `postgres` and `psql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// `$MUSTER_PG_BIN`, or the newest version installed, or whatever is on the `PATH`.
    pub fn find() -> Result<Self, Error> {
        if let Some(given) = std::env::var_os("MUSTER_PG_BIN") {
            return Self::at(Path::new(&given))
                .ok_or_else(|| Error::NotInstalled { looked_in: given.to_string_lossy().into_owned() });
        }
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        BY_VERSION
            .iter()
            .find_map(|folder| newest(Path::new(folder)))
            .or_else(|| std::env::split_paths(&on_path).find_map(|folder| Self::at(&folder)))
            .ok_or_else(|| Error::NotInstalled { looked_in: format!("{} or the PATH", BY_VERSION.join(", ")) })
    }

    fn at(folder: &Path) -> Option<Self> {
        let all = ["initdb", "postgres", "psql"].iter().all(|tool| folder.join(tool).is_file());
        all.then(|| Self(folder.to_owned()))
    }

    /// The path of one of its tools.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs SQL with the command line client and returns its rows, fields separated by `|`.
    pub fn psql(&self, url: &str, sql: &str) -> Result<String, Error> {
        let program = self.tool("psql");
        let (url, password) = without_password(url);
        let output = Command::new(&program)
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", &url, "--command", sql])
            .envs(password.map(|password| ("PGPASSWORD", password)))
            .current_dir("/")
            .output()
            .map_err(Error::io(&program))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(Error::Tool { tool: "psql", output: String::from_utf8_lossy(&output.stderr).into_owned() })
        }
    }
}

/// Takes the password out of a URL, because everyone on a machine may read a command line.
fn without_password(url: &str) -> (String, Option<String>) {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let (credentials, place) = rest.split_once('@')?;
        let (user, password) = credentials.split_once(':')?;
        Some((format!("{scheme}://{user}@{place}"), password.to_owned()))
    });
    match parts {
        Some((url, password)) => (url, Some(password)),
        None => (url.to_owned(), None),
    }
}

/// The newest of `<folder>/<major version>/bin`.
fn newest(folder: &Path) -> Option<Binaries> {
    let mut versions: Vec<(u32, Binaries)> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, Binaries::at(&entry.path().join("bin"))?))
        })
        .collect();
    versions.sort_by_key(|(version, _)| *version);
    versions.pop().map(|(_, binaries)| binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_reaches_the_command_line() {
        let (url, password) = without_password("postgres://muster:secret@127.0.0.1:5/d");
        assert_eq!((url.as_str(), password.as_deref()), ("postgres://muster@127.0.0.1:5/d", Some("secret")));
        let (url, password) = without_password("postgres://muster@127.0.0.1:5/d");
        assert_eq!((url.as_str(), password), ("postgres://muster@127.0.0.1:5/d", None));
    }

    #[test]
    fn the_newest_complete_version_wins_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for (version, tools) in [("9", 3), ("15", 3), ("17", 2)] {
            let bin = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for tool in ["initdb", "postgres", "psql"].iter().take(tools) {
                std::fs::write(bin.join(tool), "").unwrap();
            }
        }
        assert_eq!(newest(folder.path()), Some(Binaries(folder.path().join("15/bin"))));
    }
}
