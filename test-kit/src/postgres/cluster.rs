//! The files of one cluster: making it, its settings, whether it is ready, and how to connect.
//!
//! Must never start or stop the server.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Binaries, Error, Options, Purpose};
use crate::directory::Account;

/// The superuser of every cluster made here.
const USER: &str = "muster";
/// The longest socket path the kernel takes is 107 bytes; the name Postgres adds takes 20 of them.
const SOCKET_DIRECTORY_MAX_BYTES: usize = 85;

/// How to connect to one database of a server on the loopback address.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    pub port: u16,
    /// `None` where the server trusts every local client.
    pub password: Option<String>,
    pub database: String,
}

impl Connection {
    /// `postgres://user[:password]@127.0.0.1:port/database`.
    pub fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{password}@127.0.0.1:{}/{}", self.port, self.database)
    }

    /// The same for Java, without the credentials.
    pub fn jdbc_url(&self) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{}", self.port, self.database)
    }

    /// The user's name.
    pub fn user(&self) -> &'static str {
        USER
    }
}

/// Leaves the password out.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&Self { password: None, ..self.clone() }.url())
    }
}

/// The data directory within a server's directory.
pub fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn sockets(directory: &Path) -> PathBuf {
    directory.join("socket")
}

/// A command that runs in the server's directory under the right account.
pub fn command(program: &Path, directory: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env("LC_ALL", "C");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the cluster unless it is there, and returns its password if it has one.
///
/// It is made beside its final place and renamed, so a cluster that is there is complete.
pub fn create_if_missing(
    directory: &Path,
    binaries: &Binaries,
    account: Option<&Account>,
    purpose: Purpose,
) -> Result<Option<String>, Error> {
    give_folder(&sockets(directory), account)?;
    let password_file = directory.join("password");
    if data(directory).exists() {
        return read_password(&password_file);
    }
    let unfinished = directory.join("data.unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(Error::io(&unfinished))?;
    }
    give_folder(&unfinished, account)?;

    let mut initdb = command(&binaries.tool("initdb"), directory, account);
    initdb.arg("-D").arg(&unfinished).args(["--username", USER, "--encoding=UTF8", "--locale=C"]);
    match purpose {
        Purpose::ThrowAway => {
            initdb.args(["--auth=trust", "--no-sync", "--no-instructions"]);
        }
        Purpose::Keep => {
            let password = uuid::Uuid::new_v4().simple().to_string();
            std::fs::write(&password_file, &password).map_err(Error::io(&password_file))?;
            give(&password_file, 0o600, account)?;
            initdb.args(["--auth=scram-sha-256", "--no-instructions"]).arg("--pwfile").arg(&password_file);
        }
    }
    let output = initdb.output().map_err(Error::io(&binaries.tool("initdb")))?;
    if !output.status.success() {
        let output = [output.stdout, output.stderr].concat();
        return Err(Error::Tool { tool: "initdb", output: String::from_utf8_lossy(&output).into_owned() });
    }
    std::fs::rename(&unfinished, data(directory)).map_err(Error::io(&unfinished))?;
    read_password(&password_file)
}

fn read_password(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(password) => Ok(Some(password.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(file)(error)),
    }
}

fn give_folder(folder: &Path, account: Option<&Account>) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    give(folder, 0o700, account)
}

fn give(path: &Path, mode: u32, account: Option<&Account>) -> Result<(), Error> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io(path))?;
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid)).map_err(Error::io(path))?;
    }
    Ok(())
}

/// The server's settings, those of the caller last so that they win.
pub fn settings(directory: &Path, port: u16, options: &Options) -> Vec<(String, String)> {
    let sockets = sockets(directory).display().to_string();
    let sockets = if sockets.len() <= SOCKET_DIRECTORY_MAX_BYTES { sockets } else { String::new() };
    let max_connections = options.max_connections.to_string();
    let port = port.to_string();
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", &sockets),
        ("max_connections", &max_connections),
        ("logging_collector", "off"),
    ];
    if options.purpose == Purpose::ThrowAway {
        settings.extend([("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")]);
    }
    let own = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(options.settings.iter().cloned()).collect()
}

/// Whether the postmaster with this process id says that it accepts connections.
pub fn is_ready(directory: &Path, id: u32) -> bool {
    const STATUS_LINE: usize = 7;
    let Ok(text) = std::fs::read_to_string(data(directory).join("postmaster.pid")) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first() == Some(&id.to_string().as_str()) && lines.get(STATUS_LINE) == Some(&"ready")
}

/// Quotes a name for SQL.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text for SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_shown_without_its_password() {
        let connection = Connection { port: 5, password: Some("secret".to_owned()), database: "d".to_owned() };
        assert_eq!(connection.url(), "postgres://muster:secret@127.0.0.1:5/d");
        assert!(!format!("{connection:?}").contains("secret"));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b"), "'a''b'");
    }

    #[test]
    fn a_directory_too_deep_for_a_socket_goes_without() {
        let deep = Path::new("/").join("x".repeat(100));
        let settings = settings(&deep, 1, &Options::keep(&deep));
        assert!(settings.contains(&("unix_socket_directories".to_owned(), String::new())));
    }
}
