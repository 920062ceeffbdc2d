//! Files that survive a crash, files of strangers read safely, and folders removed whatever is in them.
//!
//! It must never follow a symlink that an agent left.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;

/// Writes `value` as JSON to `path` so that after this returns a crash leaves the whole file: temporary file, sync,
/// rename, sync of the folder.
pub fn write_durably(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file has a folder"))?;
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut temporary, value)?;
    temporary.write_all(b"\n")?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The content of a regular file an agent may have left, at most `max_bytes`; `None` when there is none.
/// A symlink, a pipe or a file that is too large is an error.
pub fn read_handed_back(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it is larger than {max_bytes} bytes")));
    }
    Ok(Some(content))
}

/// Removes a folder and all in it, also where permissions were taken away. Its absence is success.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

/// Leaves a folder with nothing in it.
pub fn empty_folder(path: &Path) -> io::Result<()> {
    remove_folder(path)?;
    fs::create_dir_all(path)
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Runs blocking file work off the runtime's threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_file_replaces_the_old_one_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/result.json");
        write_durably(&path, &[1, 2]).unwrap();
        write_durably(&path, &[3]).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<u8>>(&fs::read(&path).unwrap()).unwrap(), [3]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_or_a_giant_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "12345").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(read_handed_back(&link, 100).is_err());
        assert!(read_handed_back(&real, 4).is_err());
        assert_eq!(read_handed_back(&real, 5).unwrap().unwrap(), b"12345");
        assert_eq!(read_handed_back(&folder.path().join("none"), 5).unwrap(), None);
    }
}
