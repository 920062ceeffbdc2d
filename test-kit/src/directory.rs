//! Where a server's files may lie when it runs as another user than this process.
//!
//! Knows accounts and permissions; must never know what is kept in a directory.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Accounts a server may run as when this process is root, best first.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// A user that is not root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The account to give up root for; `Ok(None)` when this process is not root, an error when there is no such account.
pub fn unprivileged() -> io::Result<Option<Account>> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    ACCOUNTS
        .iter()
        .find_map(|name| find_account(&accounts, name))
        .map(Some)
        .ok_or_else(|| io::Error::other(format!("no account to run as: none of {ACCOUNTS:?} exists")))
}

fn find_account(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [this, _, uid, gid, ..] = fields[..] else { return None };
        (this == name).then_some(())?;
        Some(Account { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    })
}

/// The first folder on the way to `directory` that `account` may not enter.
pub fn barred(directory: &Path, account: &Account) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = directory.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
    ancestors.reverse();
    ancestors.into_iter().find(|folder| !may_enter(folder, account)).map(Path::to_owned)
}

fn may_enter(folder: &Path, account: &Account) -> bool {
    let Ok(metadata) = std::fs::metadata(folder) else { return true };
    let bit = if metadata.uid() == account.uid {
        0o100
    } else if metadata.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    metadata.permissions().mode() & bit != 0
}

/// `wanted` itself where a server can use it, else a folder under `/var/lib/muster` that stands for it.
///
/// They differ only for root with a directory under a private one such as `/root`: the server runs as another user,
/// which cannot go there. The same `wanted` always gives the same answer, so data is found again.
pub fn usable(wanted: &Path) -> io::Result<PathBuf> {
    let wanted = std::path::absolute(wanted)?;
    match unprivileged()? {
        Some(account) if barred(&wanted, &account).is_some() => {
            let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, wanted.as_os_str().as_encoded_bytes());
            Ok(Path::new("/var/lib/muster").join(name.simple().to_string()))
        }
        _ => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_account_by_its_exact_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:5:5::/:/x\npostgres:x:101:104:,,:/var:/bin/sh\n";
        let found = find_account(accounts, "postgres");
        assert_eq!(found, Some(Account { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(find_account(accounts, "nobody"), None);
    }

    #[test]
    fn names_the_folder_that_bars_the_way() {
        let top = tempfile::tempdir().unwrap();
        std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let private = top.path().join("private");
        let inner = private.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { name: "x".to_owned(), uid: 4_000_000, gid: 4_000_000 };
        assert_eq!(barred(&inner.join("not-there-yet"), &stranger), Some(private));
        assert_eq!(barred(top.path(), &stranger), None);
    }
}
