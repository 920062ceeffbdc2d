//! Which paths a session sees, where folders that are hidden and folders that are shown lie inside one another: of all
//! that hold a path, the innermost decides. It must never know how a sandbox is made.

use std::io;
use std::path::{Path, PathBuf};

/// The paths that there are, without symlinks in them, each once.
pub(super) fn existing(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut places: Vec<_> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
    places.sort();
    places.dedup();
    places
}

/// A path that is hidden or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) hidden: bool,
}

/// What must be done to a machine that is all shown, in this order: outer before inner, and nothing that would change
/// nothing. A path both hidden and shown is hidden.
pub(super) fn in_order(hidden: Vec<PathBuf>, shown: Vec<PathBuf>) -> Vec<Place> {
    let place = |hidden| move |path| Place { path, hidden };
    let mut places: Vec<_> = hidden.into_iter().map(place(true)).chain(shown.into_iter().map(place(false))).collect();
    places.sort_by_key(|place| (place.path.components().count(), !place.hidden));
    let mut done: Vec<Place> = Vec::new();
    for place in places {
        let around = done.iter().rev().find(|outer| place.path.starts_with(&outer.path));
        let same = around.is_some_and(|outer| outer.path == place.path);
        if !same && around.is_some_and(|outer| outer.hidden) != place.hidden {
            done.push(place);
        }
    }
    done
}

/// What is left of `path` without what is hidden: the path itself where nothing of it is, nothing where it lies in what
/// is hidden, otherwise those beneath it that are left. `hidden` must be [`existing`].
pub(super) fn without(path: &Path, hidden: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let Ok(path) = path.canonicalize() else { return Ok(Vec::new()) };
    if hidden.iter().any(|folder| path.starts_with(folder)) {
        return Ok(Vec::new());
    }
    if !hidden.iter().any(|folder| folder.starts_with(&path)) {
        return Ok(vec![path]);
    }
    let mut left = Vec::new();
    for entry in std::fs::read_dir(&path)? {
        let entry = entry?;
        // What a symlink points to is shown by its own name or not at all.
        if !entry.file_type()?.is_symlink() {
            left.extend(without(&entry.path(), hidden)?);
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(paths: [&str; N]) -> Vec<PathBuf> {
        paths.map(PathBuf::from).to_vec()
    }

    #[test]
    fn the_innermost_decides_and_the_outer_comes_first() {
        let hidden = paths(["/srv/data/runner", "/srv/data", "/tmp", "/tools/secret", "/both"]);
        let shown = paths(["/srv/data/repository/.git", "/usr/bin", "/tools", "/tmp/bin", "/both"]);
        let places = in_order(hidden, shown);
        let told: Vec<_> = places.iter().map(|place| (place.path.to_str().unwrap(), place.hidden)).collect();
        let expected = [
            ("/tmp", true),
            ("/both", true),
            ("/srv/data", true),
            ("/tools/secret", true),
            ("/tmp/bin", false),
            ("/srv/data/repository/.git", false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn around_what_is_hidden_everything_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in ["a/secret/inner", "a/other", "b"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a/secret"), root.join("link")).unwrap();
        let hidden = existing(&[root.join("link"), root.join("absent"), root.join("a/secret")]);
        assert_eq!(hidden, [root.join("a/secret")]);
        let mut left = without(&root, &hidden).unwrap();
        left.sort();
        assert_eq!(left, [root.join("a/other"), root.join("b")]);
        assert_eq!(without(&root.join("a/secret/inner"), &hidden).unwrap(), paths([]));
        assert_eq!(without(&root.join("b"), &hidden).unwrap(), [root.join("b")]);
        assert_eq!(without(&root.join("absent"), &hidden).unwrap(), paths([]));
    }
}
