//! Folders of a home that hold tools, not secrets.

use std::path::{Path, PathBuf};

const FOLDERS: [&str; 12] = [
    ".cargo/bin",
    ".rustup",
    ".pyenv",
    ".nvm",
    ".volta",
    ".bun",
    ".deno",
    ".local/bin",
    ".local/lib",
    ".local/share/mise",
    ".sdkman",
    "go/bin",
];

/// The home of whoever runs the runner, where it is worth hiding.
pub(super) fn home() -> Option<PathBuf> {
    let home = std::env::home_dir()?.canonicalize().ok()?;
    (home != Path::new("/") && home.is_dir()).then_some(home)
}

/// The folders of tools in it, whether they are there or not.
pub(super) fn folders() -> Vec<PathBuf> {
    home().map(|home| FOLDERS.iter().map(|folder| home.join(folder)).collect()).unwrap_or_default()
}
