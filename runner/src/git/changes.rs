//! Which files changed between two commits, and by how much.

use std::collections::HashMap;

use muster_client::domain::model::FileChange;

use super::{Error, Worktree};

/// One file's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path in the repository; the new one where it was renamed.
    pub path: String,
    /// What happened to it.
    pub change: FileChange,
    /// Lines added; 0 for binary files.
    pub lines_added: u32,
    /// Lines removed; 0 for binary files.
    pub lines_removed: u32,
}

impl Worktree {
    /// The files that changed from `from` to `to` (commits), in path order.
    pub async fn changes(&self, from: &str, to: &str) -> Result<Vec<Change>, Error> {
        let common = ["diff", "--no-ext-diff", "--no-textconv", "-M", "-z"];
        let ask = async |format: &str| -> Result<String, Error> {
            let arguments = [&common[..], &[format, from, to]].concat();
            Ok(String::from_utf8_lossy(&self.place.run(&arguments).await?.stdout).into_owned())
        };
        let counts = parse_counts(&ask("--numstat").await?);
        Ok(parse_names(&ask("--name-status").await?)
            .into_iter()
            .map(|(path, change)| {
                let (lines_added, lines_removed) = counts.get(&path).copied().unwrap_or_default();
                Change { path, change, lines_added, lines_removed }
            })
            .collect())
    }
}

/// `added TAB removed TAB path NUL`, or for renames `added TAB removed TAB NUL old NUL new NUL`.
fn parse_counts(text: &str) -> HashMap<String, (u32, u32)> {
    let mut fields = text.split('\0');
    let mut counts = HashMap::new();
    while let Some(field) = fields.next() {
        let mut parts = field.splitn(3, '\t');
        let (Some(added), Some(removed), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let path = if path.is_empty() { fields.nth(1).unwrap_or_default() } else { path };
        counts.insert(path.to_owned(), (added.parse().unwrap_or(0), removed.parse().unwrap_or(0)));
    }
    counts
}

/// `letter NUL path NUL`, or for renames `letter score NUL old NUL new NUL`.
fn parse_names(text: &str) -> Vec<(String, FileChange)> {
    let mut fields = text.split('\0');
    let mut names = Vec::new();
    while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
        let (change, path) = match status.chars().next() {
            Some('A') => (FileChange::Added, path),
            Some('D') => (FileChange::Deleted, path),
            Some('R') => (FileChange::Renamed, fields.next().unwrap_or(path)),
            Some('C') => (FileChange::Added, fields.next().unwrap_or(path)),
            Some(_) => (FileChange::Modified, path),
            None => continue,
        };
        names.push((path.to_owned(), change));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_and_binary_files_are_understood() {
        let counts = parse_counts("1\t0\ta b.txt\x002\t3\t\x00old\x00new\x00-\t-\tpicture\x00");
        assert_eq!(counts["a b.txt"], (1, 0));
        assert_eq!(counts["new"], (2, 3));
        assert_eq!(counts["picture"], (0, 0));
        let names = parse_names("A\x00a b.txt\x00R075\x00old\x00new\x00M\x00picture\x00D\x00gone\x00");
        let expected = [
            ("a b.txt", FileChange::Added),
            ("new", FileChange::Renamed),
            ("picture", FileChange::Modified),
            ("gone", FileChange::Deleted),
        ];
        assert_eq!(names, expected.map(|(path, change)| (path.to_owned(), change)));
    }
}
