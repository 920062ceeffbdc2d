//! The repository's text files, as Git sees them: what is tracked, and what is new and not ignored.
//!
//! Must never know a rule.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Paths from the root with `/`, and their text.
pub type Files = BTreeMap<String, String>;

/// Reads every file whose path `wanted` accepts. Files that are not text are left out.
pub fn read(root: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Files> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let paths = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    let wanted = paths.split('\0').filter(|path| !path.is_empty() && wanted(path));
    // A file that is tracked and was removed, or a link, does not read: neither has text.
    Ok(wanted.filter_map(|path| Some((path.to_owned(), std::fs::read_to_string(root.join(path)).ok()?))).collect())
}

/// The paths whose text differs, including those only one side has.
pub fn differences<'a>(before: &'a Files, after: &'a Files) -> Vec<&'a str> {
    let mut paths: Vec<&str> = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path))
        .map(String::as_str)
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Files for a unit test, from pairs of path and text.
#[cfg(test)]
pub fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_changed_added_and_removed_files_once() {
        let before = files(&[("changed", "1"), ("removed", "1"), ("same", "1")]);
        let after = files(&[("changed", "2"), ("added", "1"), ("same", "1")]);
        assert_eq!(differences(&before, &after), ["added", "changed", "removed"]);
    }

    #[test]
    fn reads_this_very_file() {
        let files = read(&crate::root(), |path| path == "xtask/src/tree.rs").unwrap();
        assert_eq!(files.len(), 1);
    }
}
