//! Everything a command writes to standard output and standard error, for people or as JSON.
//! It must never decide what is said.

mod line;
mod plan;
mod style;
mod table;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub use line::{EventLines, is_noise};
pub use plan::plan_text;
pub use style::{Colour, Style, duration, safe, safe_lines, shorten};
pub use table::Table;

use crate::args::GlobalArgs;
use crate::error::{Error, Result};

/// Where and how a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    style: Style,
}

impl Output {
    /// As the flags and the terminal ask for.
    pub fn new(global: &GlobalArgs) -> Self {
        let plain = global.no_color || global.json || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self { json: global.json, style: Style::new(!plain && io::stdout().is_terminal()) }
    }

    /// Colours, if any.
    pub const fn style(self) -> Style {
        self.style
    }

    /// A line for people; nothing with `--json`.
    pub fn line(self, text: impl AsRef<str>) -> Result {
        if self.json { Ok(()) } else { write_line(text.as_ref()) }
    }

    /// A value as one line of JSON; nothing without `--json`.
    pub fn json_line(self, value: &impl Serialize) -> Result {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string(value)
            .map_err(|error| Error::Failed(format!("the answer cannot be written as JSON: {error}")))?;
        write_line(&text)
    }

    /// A value: as JSON with `--json`, else as the text `human` makes of it.
    pub fn value<T: Serialize>(self, value: &T, human: impl FnOnce(&T) -> String) -> Result {
        if self.json { self.json_line(value) } else { write_line(&human(value)) }
    }

    /// A remark on standard error, so that standard output stays what was asked for. Nothing with `--json`.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.json {
            let _nobody_reads = writeln!(io::stderr(), "{}", text.as_ref());
        }
    }

    /// An error, on standard error.
    pub fn error(self, error: &Error) {
        if matches!(error, Error::OutputClosed) {
            return;
        }
        let text = if self.json {
            serde_json::json!({ "error": { "code": error.code(), "message": error.to_string(), "exit_code": error.exit_code() } })
                .to_string()
        } else {
            format!("error: {error}")
        };
        let _nobody_reads = writeln!(io::stderr(), "{text}");
    }
}

/// Text for programs, as it is: with neither colour nor JSON around it.
pub fn raw(text: &str) -> Result {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(closed)
}

fn write_line(text: &str) -> Result {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()).map_err(closed)
}

fn closed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::OutputClosed;
    }
    Error::doing("standard output")(error)
}
