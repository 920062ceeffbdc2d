//! A fingerprint of what a snapshot of a partition depends on: the sources of the state, its fold and the format. A
//! build that adds events up in another way must not go on from what this one came to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Sources by folder or file, from this package's folder.
const SOURCES: [&str; 8] = [
    "../domain/src/state",
    "../domain/src/model",
    "../domain/src/event",
    "../domain/src/id.rs",
    "../domain/src/time.rs",
    "../domain/src/decide/outcome.rs",
    "src/partition/snapshot",
    "src/partition/memory.rs",
];

fn main() -> io::Result<()> {
    // FNV-1a: the same on every machine and with every compiler.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        for file in files(Path::new(source))? {
            for byte in fs::read(file)? {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    println!("cargo:rustc-env=MUSTER_STATE_FINGERPRINT={hash}");
    Ok(())
}

/// The file itself, or all files below the folder, in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut all = Vec::new();
    for entry in entries {
        all.extend(files(&entry)?);
    }
    Ok(all)
}
