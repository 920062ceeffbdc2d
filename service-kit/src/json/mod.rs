//! JSON bodies, read strictly: no member named twice, none that is unknown at whatever depth, no value of another kind,
//! and what is wrong is named with its path. It must never correct a document.

mod check;
mod shape;
mod tree;

pub use shape::Shapes;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::{Problem, codes};
use check::{Check, Fault, Wrong};
use tree::Tree;

/// Parses a body whose type says what its fields are. `T` should carry `#[serde(deny_unknown_fields)]`, and so should
/// what it contains, or unknown fields are passed over.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let tree: Tree<'_> = serde_json::from_slice(bytes).map_err(|error| of_serde(&error, "."))?;
    check::names_once(&tree).map_err(of_fault)?;
    typed(bytes, "")
}

/// What a body should be: a shape, or a list of it.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'s> {
    shapes: &'s Shapes,
    name: &'s str,
    is_list: bool,
    any_text: bool,
    wrapper: &'s str,
}

impl Shapes {
    /// A body of the shape of that name.
    pub fn one<'s>(&'s self, name: &'s str) -> Expected<'s> {
        Expected { shapes: self, name, is_list: false, any_text: false, wrapper: "" }
    }

    /// A list of them. A fault says the `index` of the one it is in.
    pub fn list<'s>(&'s self, name: &'s str) -> Expected<'s> {
        Expected { is_list: true, ..self.one(name) }
    }
}

impl<'s> Expected<'s> {
    /// Leaves `wrapper`, as in `command.`, out of the paths that begin with it: the caller sent what is inside of it.
    #[must_use]
    pub fn within(self, wrapper: &'s str) -> Self {
        Self { wrapper, ..self }
    }

    /// Takes text with U+0000 too, as programs put it out.
    #[must_use]
    pub fn any_text(self) -> Self {
        Self { any_text: true, ..self }
    }

    /// Parses a body that must be of this shape. Text with U+0000, which Postgres cannot hold, is refused.
    pub fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Problem> {
        let tree: Tree<'_> = serde_json::from_slice(bytes).map_err(|error| of_serde(&error, "."))?;
        let check = Check { shapes: self.shapes, any_text: self.any_text };
        let fits = || if self.is_list { check.list(&tree, self.name) } else { check.one(&tree, self.name) };
        let checked = check::names_once(&tree).and_then(|()| fits());
        checked.map_err(|fault| {
            let path = fault.path.strip_prefix(self.wrapper).unwrap_or(&fault.path).to_owned();
            self.indexed(of_fault(Fault { path, ..fault }))
        })?;
        drop(tree);
        typed(bytes, self.wrapper).map_err(|problem| self.indexed(problem))
    }

    fn indexed(&self, problem: Problem) -> Problem {
        let path = problem.extension("path").and_then(serde_json::Value::as_str);
        let index = path.and_then(|path| path.strip_prefix('[')?.split(']').next()?.parse::<u64>().ok());
        match index {
            Some(index) if self.is_list => problem.with("index", index),
            _ => problem,
        }
    }
}

fn typed<T: DeserializeOwned>(bytes: &[u8], wrapper: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        of_serde(error.inner(), path.strip_prefix(wrapper).unwrap_or(&path))
    })?;
    deserializer.end().map_err(|error| of_serde(&error, "."))?;
    Ok(value)
}

fn of_fault(Fault { path, wrong }: Fault) -> Problem {
    let last = || path.rsplit('.').next().unwrap_or_default().to_owned();
    let (problem, field) = match wrong {
        Wrong::Twice => {
            let detail = format!("`{path}` is given more than once.");
            (Problem::new(codes::DUPLICATE_FIELD).detail(detail), Some(last()))
        }
        Wrong::Unknown { name, known } => {
            let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let expected = if known.is_empty() { "there are none".to_owned() } else { format!("known are {known}") };
            (Problem::new(codes::UNKNOWN_FIELD).detail(format!("unknown field `{name}`; {expected}.")), Some(name))
        }
        Wrong::Missing => {
            let name = last();
            (Problem::new(codes::INVALID_BODY).detail(format!("missing field `{name}`.")), Some(name))
        }
        Wrong::Kind { found, expected } => {
            let what = if path.is_empty() { "The body" } else { path.as_str() };
            let detail = format!("{what}: {found} is there and {expected} is expected.");
            (Problem::new(codes::INVALID_BODY).detail(detail), None)
        }
        Wrong::Nul => {
            let detail = format!("{path}: text must not have the character U+0000.");
            (Problem::new(codes::INVALID_BODY).detail(detail), None)
        }
    };
    let problem = if path.is_empty() { problem } else { problem.with("path", path) };
    match field {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}

fn of_serde(error: &serde_json::Error, path: &str) -> Problem {
    let message = error.to_string();
    if error.classify() != Category::Data {
        let problem = Problem::new(codes::MALFORMED_JSON).detail(format!("Not valid JSON: {message}."));
        return problem.with("line", error.line()).with("column", error.column());
    }
    let located = |problem: Problem| if path == "." { problem } else { problem.with("path", path) };
    if let Some(field) = quoted_after(&message, "unknown field `") {
        return located(Problem::new(codes::UNKNOWN_FIELD).detail(format!("{message}."))).with("field", field);
    }
    let problem = located(Problem::new(codes::INVALID_BODY).detail(format!("{message}.")));
    match quoted_after(&message, "missing field `") {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}
