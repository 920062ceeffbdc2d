//! `cargo xtask contracts`: regenerates the contracts that are committed, or shows that they are up to date.
//!
//! Knows which programs write contracts; must never know what is in one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::tree;

/// Package and binary of each generator. Each writes its files into the repository when run from its root.
const GENERATORS: [Generator; 5] = [
    Generator { package: "muster-schemas", binary: "generate-contracts", output: None },
    Generator { package: "muster-service-kit", binary: "configuration-page", output: None },
    Generator { package: "muster-command-service", binary: "openapi", output: None },
    Generator { package: "muster-query-api", binary: "sdl", output: None },
    Generator { package: "muster-cli", binary: "muster", output: Some(("docs", "docs/cli.md")) },
];

/// A program that writes contracts.
struct Generator {
    package: &'static str,
    binary: &'static str,
    /// For one that prints: the argument that makes it print, and the file its output belongs in.
    output: Option<(&'static str, &'static str)>,
}

/// Runs every generator; with `check`, fails when one changed a file.
pub fn run(root: &Path, check: bool) -> anyhow::Result<String> {
    let before = tree::read(root, |_| true)?;
    for generator in &GENERATORS {
        generate(root, generator)?;
    }
    let after = tree::read(root, |_| true)?;
    let changed = tree::differences(&before, &after);
    if changed.is_empty() {
        return Ok("contracts: up to date".to_owned());
    }
    let list = changed.join("\n  ");
    if check {
        bail!("contracts: out of date; run `cargo xtask contracts` and commit:\n  {list}");
    }
    Ok(format!("contracts: regenerated\n  {list}"))
}

fn generate(root: &Path, generator: &Generator) -> anyhow::Result<()> {
    let Generator { package, binary, output } = generator;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", package, "--bin", binary]).current_dir(root).stderr(Stdio::inherit());
    if let Some((argument, _)) = output {
        command.args(["--", argument]);
    }
    let finished = command.output().with_context(|| format!("cargo run --package {package} --bin {binary}"))?;
    if !finished.status.success() {
        bail!("the generator {binary} of {package} ended with {}", finished.status);
    }
    if let Some((_, path)) = output {
        std::fs::write(root.join(path), finished.stdout).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generator_is_there() {
        let root = crate::root();
        for Generator { package, binary, .. } in GENERATORS {
            let folder = root.join(package.trim_start_matches("muster-"));
            let plain = folder.join("src/bin").join(format!("{binary}.rs"));
            let listed = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let named = listed.contains(&format!("name = \"{binary}\""));
            assert!(plain.exists() || named, "{package} has no binary {binary}");
        }
    }
}
