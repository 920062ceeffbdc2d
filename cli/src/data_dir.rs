//! The folder where `muster dev` keeps what it must find again, and where other commands find its address and token.
//! It must never start anything.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::RngCore;

use crate::error::{Error, Result};

const TOKEN_BYTES: usize = 32;

/// The layout of a data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// `given`, or the default: `$XDG_DATA_HOME/muster`, else `~/.local/share/muster`.
    pub fn locate(given: Option<&Path>) -> Result<Self> {
        let root = match given {
            Some(given) => given.to_owned(),
            None => default_root().ok_or_else(|| {
                Error::Usage("there is no home directory to keep data in; name a folder with --data-dir".to_owned())
            })?,
        };
        let root = std::path::absolute(&root).map_err(Error::io(&root))?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cluster of the private Postgres.
    pub fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// The broker's storage.
    pub fn kafka(&self) -> PathBuf {
        self.root.join("kafka")
    }

    /// The registry's log; its schemas are in Postgres.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// Worktrees, result files and output of runs.
    pub fn runner(&self) -> PathBuf {
        self.root.join("runner")
    }

    /// The user's token.
    pub fn token_file(&self) -> PathBuf {
        self.root.join("token")
    }

    /// The address of the server that runs, or ran last.
    pub fn url_file(&self) -> PathBuf {
        self.root.join("url")
    }

    /// Makes the folder if it is missing. Others may enter it, as Postgres may run under an account of its own; what is
    /// secret in it is guarded file by file.
    pub fn create(&self) -> Result {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.root).map_err(Error::io(&self.root))
    }

    /// The user's token, made at the first call and readable by its owner only.
    pub fn ensure_token(&self) -> Result<String> {
        ensure_token(&self.token_file())
    }

    /// The services' own token, likewise.
    pub fn ensure_service_token(&self) -> Result<String> {
        ensure_token(&self.root.join("service-token"))
    }

    /// The password of the private broker, likewise: who reaches its port may not write history.
    pub fn ensure_kafka_password(&self) -> Result<String> {
        ensure_token(&self.root.join("kafka-password"))
    }

    /// What another Kafka client needs to read from the private broker; `kcat -F` takes it as it is.
    pub fn kafka_client_file(&self) -> PathBuf {
        self.root.join("kafka-client.properties")
    }

    /// Writes that file, readable by its owner only.
    pub fn write_kafka_client(&self, bootstrap: &str, security: &[(&str, String)]) -> Result {
        let mut text = format!("bootstrap.servers={bootstrap}\n");
        for (name, value) in security {
            let _ = writeln!(text, "{name}={value}");
        }
        let file = self.kafka_client_file();
        write_private(&file, &text).map_err(Error::io(&file))
    }

    /// The user's token, if the server was ever started here.
    pub fn token(&self) -> Result<Option<String>> {
        read_trimmed(&self.token_file())
    }

    /// The server's address, if it runs here or was killed here.
    pub fn url(&self) -> Result<Option<String>> {
        read_trimmed(&self.url_file())
    }

    /// Leaves the server's address for other commands.
    pub fn write_url(&self, url: &str) -> Result {
        let file = self.url_file();
        write_private(&file, &format!("{url}\n")).map_err(Error::io(&file))
    }

    /// Takes the address away again.
    pub fn remove_url(&self) {
        let _gone_already = fs::remove_file(self.url_file());
    }
}

fn default_root() -> Option<PathBuf> {
    let xdg = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| std::env::home_dir().map(|home| home.join(".local/share"))).map(|share| share.join("muster"))
}

fn ensure_token(file: &Path) -> Result<String> {
    if let Some(token) = read_trimmed(file)? {
        return Ok(token);
    }
    let mut bytes = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let token = hex::encode(bytes);
    write_private(file, &format!("{token}\n")).map_err(Error::io(file))?;
    Ok(token)
}

/// The content of a small file; `Ok(None)` when there is none or it is empty.
fn read_trimmed(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(file)(error)),
    }
}

/// Writes beside and renames, so that a reader sees all of it or nothing.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::locate(Some(folder.path())).unwrap();
        assert_eq!(data.token().unwrap(), None);
        let token = data.ensure_token().unwrap();
        assert_eq!(token.len(), TOKEN_BYTES * 2);
        assert_eq!(data.ensure_token().unwrap(), token);
        assert_eq!(data.token().unwrap(), Some(token));
        let mode = fs::metadata(data.token_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_address_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::locate(Some(folder.path())).unwrap();
        data.write_url("http://127.0.0.1:1").unwrap();
        assert_eq!(data.url().unwrap().as_deref(), Some("http://127.0.0.1:1"));
        data.remove_url();
        assert_eq!(data.url().unwrap(), None);
    }
}
