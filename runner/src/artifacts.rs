//! Keeping what an agent left in its artifact folder beside the files of the contract.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Files of the contract, which are read and not kept.
const CONTRACT: [&str; 4] = ["plan.json", "review.json", "question.json", "result.json"];
/// Files that are kept of one turn.
const FILES_MAX: usize = 50;
/// Bytes of one file that is kept.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A file that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Where it is now.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its content in hexadecimal.
    pub sha256: String,
}

/// Copies the regular files of `from` into `to`. Symlinks, folders and files that are too large stay behind.
pub fn keep(from: &Path, to: &Path) -> io::Result<Vec<Kept>> {
    let mut entries: Vec<_> = std::fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut kept = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if CONTRACT.contains(&name.as_str()) || !entry.file_type()?.is_file() || kept.len() >= FILES_MAX {
            continue;
        }
        let options = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).clone();
        let file = options.open(entry.path())?;
        if !file.metadata()?.is_file() || file.metadata()?.len() > FILE_MAX_BYTES {
            continue;
        }
        std::fs::create_dir_all(to)?;
        kept.push(copy(file, name, to)?);
    }
    Ok(kept)
}

fn copy(file: File, name: String, to: &Path) -> io::Result<Kept> {
    let path = to.join(&name);
    let (mut copy, mut hash, mut size_bytes) = (File::create(&path)?, Sha256::new(), 0);
    let (mut file, mut buffer) = (file.take(FILE_MAX_BYTES), vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        copy.write_all(&buffer[..read])?;
        size_bytes += read as u64;
    }
    copy.sync_all()?;
    Ok(Kept { name, path, size_bytes, sha256: hex::encode(hash.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_beside_the_contract_are_kept() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["result.json", "report.html"] {
            std::fs::write(from.path().join(name), "hello").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("passwd")).unwrap();
        let kept = keep(from.path(), to.path()).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].name.as_str(), kept[0].size_bytes), ("report.html", 5));
        assert_eq!(kept[0].sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    }
}
