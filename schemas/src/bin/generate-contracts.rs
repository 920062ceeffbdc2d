//! Records new schema versions, and writes the pages and golden bytes that follow from the schemas.
//!
//! `generate-contracts` refuses an incompatible edit and changes nothing then. `--check` changes nothing at all and
//! fails when something would change. `--golden` also rewrites the golden bytes of the newest versions.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use muster_schemas::golden::Golden;
use muster_schemas::{contracts, history};

type Error = Box<dyn std::error::Error>;

/// What to do about a file that is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Write,
    Check,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let known = |argument: &String| argument == "--check" || argument == "--golden";
    if !arguments.iter().all(known) {
        say("usage: generate-contracts [--check] [--golden]");
        return ExitCode::from(2);
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let mode = if given("--check") { Mode::Check } else { Mode::Write };
    match run(mode, given("--golden")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    // Nothing can be said about a standard error that is closed.
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn run(mode: Mode, rewrite_golden: bool) -> Result<(), Error> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = schemas.parent().ok_or("the crate lies in a workspace")?;
    let folder = schemas.join("history");
    match mode {
        Mode::Check => history::verify(&folder)?,
        Mode::Write => {
            for subject in history::record(&folder)? {
                say(&format!("recorded a new version of {subject}"));
            }
        }
    }
    for (event_type, _) in history::current() {
        if let Some(golden) = Golden::now(event_type) {
            let path = golden_file(schemas, &folder, event_type)?;
            if rewrite_golden || !path.exists() {
                put(mode, &path, &golden?.to_text())?;
            }
        }
    }
    for (path, text) in contracts::files() {
        put(mode, &root.join(path), &text)?;
    }
    Ok(())
}

/// The golden file of the newest version.
fn golden_file(schemas: &Path, history: &Path, event_type: &str) -> Result<PathBuf, Error> {
    let newest = history::versions(history, event_type)?.len();
    Ok(schemas.join("golden").join(event_type).join(format!("{newest}.hex")))
}

fn put(mode: Mode, path: &Path, text: &str) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if mode == Mode::Check {
        return Err(format!(
            "{} is out of date: run `cargo run -p muster-schemas --bin generate-contracts`",
            path.display()
        )
        .into());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}
