//! Files of the workspace for an agent that asks for them: none outside of it, whatever path or symlink leads there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::wire::{INTERNAL_ERROR, INVALID_PARAMS, RpcError};
use crate::sys::open_beneath;

/// Bytes of a file that is read for an agent.
const FILE_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The workspace, held open.
pub(super) struct WorkspaceFiles {
    path: PathBuf,
    folder: File,
}

#[derive(Deserialize)]
struct ReadRequest {
    path: PathBuf,
    /// First line, from 1.
    #[serde(default)]
    line: Option<usize>,
    /// Lines.
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct WriteRequest {
    path: PathBuf,
    content: String,
}

impl WorkspaceFiles {
    pub(super) fn open(workspace: &Path) -> io::Result<Self> {
        Ok(Self { path: workspace.to_owned(), folder: File::open(workspace)? })
    }

    /// `fs/read_text_file`.
    pub(super) fn read(&self, params: &Value) -> Result<Value, RpcError> {
        let request: ReadRequest = parse(params)?;
        let path = self.relative(&request.path)?;
        let failed = |error| file_error(&request.path, &error);
        let file = open_beneath(&self.folder, &path, libc::O_RDONLY | libc::O_NONBLOCK).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(file_error(&request.path, &io::Error::other("it is not a regular file")));
        }
        let mut content = Vec::new();
        file.take(FILE_MAX_BYTES).read_to_end(&mut content).map_err(failed)?;
        let content = String::from_utf8_lossy(&content);
        let content = if request.line.is_none() && request.limit.is_none() {
            content.into_owned()
        } else {
            let lines = content.split_inclusive('\n').skip(request.line.unwrap_or(1).saturating_sub(1));
            lines.take(request.limit.unwrap_or(usize::MAX)).collect()
        };
        Ok(json!({"content": content}))
    }

    /// `fs/write_text_file`. Gives the path within the workspace.
    pub(super) fn write(&self, params: &Value) -> Result<String, RpcError> {
        let request: WriteRequest = parse(params)?;
        let path = self.relative(&request.path)?;
        let write = || -> io::Result<()> {
            self.make_folders(&path)?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NONBLOCK;
            open_beneath(&self.folder, &path, flags)?.write_all(request.content.as_bytes())
        };
        write().map_err(|error| file_error(&request.path, &error))?;
        Ok(path.display().to_string())
    }

    /// The path within the workspace. Git's own files are not in it.
    fn relative(&self, path: &Path) -> Result<PathBuf, RpcError> {
        let within = if path.is_absolute() { path.strip_prefix(&self.path).ok() } else { Some(path) };
        let within = within.filter(|within| within.components().all(|c| matches!(c, Component::Normal(_))));
        let within = within.filter(|w| w.components().next().is_some_and(|first| first.as_os_str() != ".git"));
        let refuse = || RpcError::new(INVALID_PARAMS, format!("{} is not in the workspace", path.display()));
        within.map(Path::to_owned).ok_or_else(refuse)
    }

    /// Makes the folders above `path`, each beneath the one before.
    fn make_folders(&self, path: &Path) -> io::Result<()> {
        let mut folder = self.folder.try_clone()?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let name = Path::new(part.as_os_str());
            let open = |folder: &File| open_beneath(folder, name, libc::O_RDONLY | libc::O_DIRECTORY);
            folder = match open(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))?;
                    open(&folder)?
                }
                other => other?,
            };
        }
        Ok(())
    }
}

fn parse<'de, T: Deserialize<'de>>(params: &'de Value) -> Result<T, RpcError> {
    T::deserialize(params).map_err(|error| RpcError::new(INVALID_PARAMS, error.to_string()))
}

fn file_error(path: &Path, error: &io::Error) -> RpcError {
    RpcError::new(INTERNAL_ERROR, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_the_workspace_are_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = WorkspaceFiles::open(folder.path()).unwrap();
        let path = folder.path().join("a/b/c.txt");
        files.write(&json!({"path": path, "content": "one\ntwo\nthree\n"})).unwrap();
        assert_eq!(files.read(&json!({"path": path})).unwrap()["content"], "one\ntwo\nthree\n");
        assert_eq!(files.read(&json!({"path": path, "line": 2, "limit": 1})).unwrap()["content"], "two\n");
        files.write(&json!({"path": "a/b/c.txt", "content": ""})).unwrap();
        assert_eq!(files.read(&json!({"path": path})).unwrap()["content"], "");
    }

    #[test]
    fn nothing_outside_is_reached() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("new"), folder.path().join("dangling")).unwrap();
        let files = WorkspaceFiles::open(folder.path()).unwrap();
        let secret = outside.path().join("secret");
        for path in [secret.to_str().unwrap(), "../secret", "out/secret", "a/../../secret", ".git", ".git/config", ""] {
            assert!(files.read(&json!({"path": path})).is_err(), "read {path}");
            assert!(files.write(&json!({"path": path, "content": "x"})).is_err(), "write {path}");
        }
        assert!(files.write(&json!({"path": "dangling", "content": "x"})).is_err());
        assert!(files.write(&json!({"path": "out/sub/new", "content": "x"})).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(secret).unwrap(), "s");
    }
}
