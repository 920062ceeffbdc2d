//! Writes the REST description to `docs/openapi.json`; with `--check` only says whether it is up to date.

use std::path::Path;

use anyhow::{Context, bail};
use muster_command_service::http::openapi;

fn main() -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let text = openapi::text();
    if std::env::args().any(|argument| argument == "--check") {
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            bail!("docs/openapi.json is out of date; run `cargo run -p muster-command-service --bin openapi`");
        }
        return Ok(());
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
