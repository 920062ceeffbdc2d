//! What can go wrong in a command, and the exit code that tells it. It must never print anything.

use std::io;
use std::path::{Path, PathBuf};

/// Refused or failed.
pub const EXIT_FAILED: u8 = 1;
/// Wrong usage; clap uses the same.
pub const EXIT_USAGE: u8 = 2;
/// No server reachable.
pub const EXIT_NOT_REACHABLE: u8 = 3;
/// No such thing.
pub const EXIT_NOT_FOUND: u8 = 4;
/// Someone else decided first, or the thing has moved on.
pub const EXIT_CONFLICT: u8 = 5;
/// No valid token, or no such right.
pub const EXIT_NOT_ALLOWED: u8 = 6;
/// Interrupted, as a shell reports it.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for makes no sense. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers. Exit code 3.
    #[error("no server answers at {url}: {reason}\nStart one with `muster dev`, or name one with --url or MUSTER_URL.")]
    NotReachable { url: String, reason: String },
    /// No address is known. Exit code 3.
    #[error(
        "no server is known: {0} holds no address\nStart one with `muster dev`, or name one with --url or MUSTER_URL."
    )]
    NoServer(PathBuf),
    /// There is no such thing. Exit code 4.
    #[error("{0}")]
    NotFound(String),
    /// The server refused; the exit code follows from the status.
    #[error("{message}")]
    Refused { status: u16, code: String, message: String },
    /// It was done, but did not come to what was wanted. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The user said no, or pressed Ctrl-C. Exit code 130.
    #[error("{0}")]
    Interrupted(String),
    /// A file or a process. Exit code 1.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Standard output was closed by its reader. Nothing is said; exit code 0, as for any program in a pipe.
    #[error("the output was closed")]
    OutputClosed,
}

impl Error {
    /// For `map_err` on a path.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::doing(path.display().to_string())
    }

    /// For `map_err` on something done.
    pub fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// A stable word for machines: the server's problem code where it refused.
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::NotReachable { .. } | Self::NoServer(_) => "not_reachable",
            Self::NotFound(_) => "not_found",
            Self::Refused { code, .. } => code,
            Self::Failed(_) => "failed",
            Self::Interrupted(_) => "interrupted",
            Self::Io { .. } => "io",
            Self::OutputClosed => "output_closed",
        }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::NotReachable { .. } | Self::NoServer(_) => EXIT_NOT_REACHABLE,
            Self::NotFound(_) => EXIT_NOT_FOUND,
            Self::Refused { status, .. } => match status {
                401 | 403 => EXIT_NOT_ALLOWED,
                404 => EXIT_NOT_FOUND,
                409 => EXIT_CONFLICT,
                _ => EXIT_FAILED,
            },
            Self::Failed(_) | Self::Io { .. } => EXIT_FAILED,
            Self::Interrupted(_) => EXIT_INTERRUPTED,
            Self::OutputClosed => 0,
        }
    }
}

/// What a command returns.
pub type Result<T = ()> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> u8 {
        Error::Refused { status, code: "x".to_owned(), message: String::new() }.exit_code()
    }

    #[test]
    fn the_exit_code_follows_from_the_status() {
        let codes = [400, 401, 403, 404, 409, 413, 422, 429, 500, 503].map(refused);
        assert_eq!(codes, [1, 6, 6, 4, 5, 1, 1, 1, 1, 1]);
    }
}
