//! Guesses how a repository is tested from the files at its top. Reads only; it must never run anything.

use std::path::Path;

use crate::args::VerifyArg;

/// A guess and the file that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The command.
    pub verify: VerifyArg,
    /// The file.
    pub because: &'static str,
}

/// The commands that seem to test the repository: one for each build tool found, a Makefile's only when there is no other.
pub fn guess(repository: &Path) -> Vec<Guess> {
    let exists = |name: &str| repository.join(name).is_file();
    let read = |name: &str| std::fs::read_to_string(repository.join(name)).unwrap_or_default();
    let mut guesses = Vec::new();
    if exists("Cargo.toml") {
        guesses.push(found("cargo", "Cargo.toml", &["cargo", "test"]));
    }
    if has_npm_tests(&read("package.json")) {
        let manager = [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun")];
        let program = manager.into_iter().find(|(lock, _)| exists(lock)).map_or("npm", |(_, program)| program);
        let command = if program == "bun" { vec!["bun", "run", "test"] } else { vec![program, "test"] };
        guesses.push(found("npm", "package.json", &command));
    }
    if exists("go.mod") {
        guesses.push(found("go", "go.mod", &["go", "test", "./..."]));
    }
    if let Some(because) = pytest_file(repository, &exists, &read) {
        guesses.push(found("pytest", because, &["python3", "-m", "pytest"]));
    }
    if guesses.is_empty() && has_make_target(&read("Makefile"), "test") {
        guesses.push(found("make", "Makefile", &["make", "test"]));
    }
    if let [only] = guesses.as_mut_slice() {
        "tests".clone_into(&mut only.verify.name);
    }
    guesses
}

fn found(name: &str, because: &'static str, command: &[&str]) -> Guess {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Guess { verify: VerifyArg { name: name.to_owned(), command }, because }
}

/// Whether `npm test` does something: npm writes a script that only fails into every new package.
fn has_npm_tests(package: &str) -> bool {
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    package["scripts"]["test"].as_str().is_some_and(|script| !script.contains("no test specified"))
}

fn pytest_file(
    repository: &Path,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> String,
) -> Option<&'static str> {
    if exists("pytest.ini") {
        return Some("pytest.ini");
    }
    let in_tests = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("test_") && Path::new(&name).extension().is_some_and(|extension| extension == "py")
        })
    };
    if std::fs::read_dir(repository.join("tests")).is_ok_and(|mut entries| entries.any(in_tests)) {
        return Some("tests/test_*.py");
    }
    read("pyproject.toml").contains("pytest").then_some("pyproject.toml")
}

fn has_make_target(makefile: &str, target: &str) -> bool {
    makefile.lines().any(|line| {
        let rest = line.strip_prefix(target).map(str::trim_start);
        rest.and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| !rest.starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let pair = |guess: Guess| (guess.verify.name, guess.verify.command.join(" "));
        guess(folder.path()).into_iter().map(pair).collect()
    }

    fn pair(name: &str, command: &str) -> (String, String) {
        (name.to_owned(), command.to_owned())
    }

    #[test]
    fn one_tool_is_called_tests() {
        assert_eq!(guessed(&[("Cargo.toml", "")]), [pair("tests", "cargo test")]);
        assert_eq!(guessed(&[("go.mod", "")]), [pair("tests", "go test ./...")]);
        assert_eq!(guessed(&[("pyproject.toml", "[tool.pytest.ini_options]")]), [pair("tests", "python3 -m pytest")]);
        assert_eq!(guessed(&[("tests/test_a.py", "")]), [pair("tests", "python3 -m pytest")]);
        assert_eq!(guessed(&[("Makefile", "all:\n\ntest: all\n\tsh t\n")]), [pair("tests", "make test")]);
    }

    #[test]
    fn several_tools_are_all_used_and_the_makefile_then_is_not() {
        let files = [("Cargo.toml", ""), ("package.json", r#"{"scripts":{"test":"vitest"}}"#), ("Makefile", "test:\n")];
        assert_eq!(guessed(&files), [pair("cargo", "cargo test"), pair("npm", "npm test")]);
    }

    #[test]
    fn nothing_is_made_up() {
        let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
        let files = [("package.json", placeholder), ("Makefile", "testing:\ntest := 1\n"), ("pyproject.toml", "[x]")];
        assert_eq!(guessed(&files), []);
        assert_eq!(guessed(&[("package.json", "not json")]), []);
    }

    #[test]
    fn the_lock_file_tells_the_package_manager() {
        let package = r#"{"scripts":{"test":"x"}}"#;
        assert_eq!(guessed(&[("package.json", package), ("yarn.lock", "")]), [pair("tests", "yarn test")]);
    }
}
