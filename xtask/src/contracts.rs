//! `cargo xtask contracts`: regenerates the contracts that are committed, or shows that they are up to date.
//!
//! Knows which programs write contracts; must never know what is in one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::tree;

/// Package and binary of each generator. Each writes its files into the repository when run from its root.
const GENERATORS: [(&str, &str); 2] =
    [("muster-schemas", "generate-contracts"), ("muster-service-kit", "configuration-page")];

/// Runs every generator; with `check`, fails when one changed a file.
pub fn run(root: &Path, check: bool) -> anyhow::Result<String> {
    let before = tree::read(root, |_| true)?;
    for (package, binary) in GENERATORS {
        generate(root, package, binary)?;
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

fn generate(root: &Path, package: &str, binary: &str) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--package", package, "--bin", binary])
        .current_dir(root)
        .status()
        .with_context(|| format!("cargo run --package {package} --bin {binary}"))?;
    if !status.success() {
        bail!("the generator {binary} of {package} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generator_is_there() {
        let root = crate::root();
        for (package, binary) in GENERATORS {
            let folder = root.join(package.trim_start_matches("muster-"));
            let plain = folder.join("src/bin").join(format!("{binary}.rs"));
            let listed = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let named = listed.contains(&format!("name = \"{binary}\""));
            assert!(plain.exists() || named, "{package} has no binary {binary}");
        }
    }
}
