//! Writes `docs/configuration.md` from the configuration's own structs, so that the page cannot drift.
//! It must never hold a word of the page itself.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    fs::write(page, muster_service_kit::config::page())
}
