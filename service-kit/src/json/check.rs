//! What is wrong with a document, and where. It must never stop at what it has passed: the first fault in the document's
//! own order is told.

use std::collections::HashSet;
use std::fmt::Write as _;

use uuid::Uuid;

use super::shape::{Members, Shape, Shapes};
use super::tree::{Name, Tree};

/// The first fault of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// As in `settings.agents.coder.modle` or `[3].command.title`; empty for the whole document.
    pub path: String,
    pub wrong: Wrong,
}

/// What a fault is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A member that is named more than once.
    Twice,
    /// A member nobody knows, and those that are known beside it.
    Unknown { name: String, known: Vec<String> },
    /// A member that must be there.
    Missing,
    /// A value of another kind.
    Kind { found: String, expected: String },
    /// Text with the character U+0000.
    Nul,
}

/// Of text that is refused, so much is told.
const SHOWN_MAX_CHARS: usize = 40;
/// Up to this many members are compared each with each, which costs less than a set.
const COMPARED_DIRECTLY_MAX: usize = 12;

/// Refuses a document that names a member twice: which of the two counts would be anyone's guess.
pub(super) fn names_once(tree: &Tree<'_>) -> Result<(), Fault> {
    walk(tree, &mut Path::default())
}

fn walk<'t>(tree: &'t Tree<'_>, path: &mut Path<'t>) -> Result<(), Fault> {
    match tree {
        Tree::List(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            if !matches!(item, Tree::List(_) | Tree::Object(_)) {
                return Ok(());
            }
            path.within(Step::Item(index), |path| walk(item, path))
        }),
        Tree::Object(members) => {
            if let Some(name) = twice(members) {
                return path.within(Step::Member(name), |path| Err(path.fault(Wrong::Twice)));
            }
            members.iter().try_for_each(|(name, value)| {
                if !matches!(value, Tree::List(_) | Tree::Object(_)) {
                    return Ok(());
                }
                path.within(Step::Member(&name.0), |path| walk(value, path))
            })
        }
        _ => Ok(()),
    }
}

fn twice<'t>(members: &'t [(Name<'_>, Tree<'_>)]) -> Option<&'t str> {
    let names = || members.iter().map(|(name, _)| name.0.as_ref());
    if members.len() <= COMPARED_DIRECTLY_MAX {
        return names().enumerate().find(|(index, name)| names().take(*index).any(|one| one == *name)).map(|(_, n)| n);
    }
    let mut seen = HashSet::with_capacity(members.len());
    names().find(|name| !seen.insert(*name))
}

/// Holds documents against shapes.
#[derive(Clone, Copy)]
pub(super) struct Check<'s> {
    pub shapes: &'s Shapes,
    /// Whether text may have the character U+0000.
    pub any_text: bool,
}

impl<'t> Check<'t> {
    /// Refuses a document that is not of the shape `name`.
    pub(super) fn one(self, tree: &'t Tree<'_>, name: &str) -> Result<(), Fault> {
        self.fit(tree, self.shapes.find(name), &mut Path::default())
    }

    /// Refuses a document that is no list of the shape `name`.
    pub(super) fn list(self, tree: &'t Tree<'_>, name: &str) -> Result<(), Fault> {
        let mut path = Path::default();
        let Tree::List(items) = tree else { return Err(path.kind(tree, "a list")) };
        let shape = self.shapes.find(name);
        items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| path.within(Step::Item(index), |path| self.fit(item, shape, path)))
    }

    fn fit(self, tree: &'t Tree<'_>, shape: &'t Shape, path: &mut Path<'t>) -> Result<(), Fault> {
        match (shape, tree) {
            (_, Tree::Text(text)) if !self.is_text(text) => Err(path.fault(Wrong::Nul)),
            (Shape::Nullable(_), Tree::Null)
            | (Shape::Any, _)
            | (Shape::Bool, Tree::Bool)
            | (Shape::Text, Tree::Text(_))
            | (Shape::Number, Tree::Count(_) | Tree::Negative(_) | Tree::Number) => Ok(()),
            (Shape::Count(most) | Shape::Integer(_, most), Tree::Count(count)) if count <= most => Ok(()),
            (Shape::Integer(least, _), Tree::Negative(number)) if number >= least => Ok(()),
            (Shape::Choice(choices), Tree::Text(text)) if choices.iter().any(|choice| choice == text) => Ok(()),
            (Shape::Uuid, Tree::Text(text)) if Uuid::parse_str(text).is_ok() => Ok(()),
            (Shape::Named(name), _) => self.fit(tree, self.shapes.find(name), path),
            (Shape::Nullable(shape), _) => self.fit(tree, shape, path),
            (Shape::Either(options), _) => match options.iter().find(|option| is_kind(tree, option, self.shapes)) {
                Some(option) => self.fit(tree, option, path),
                None => Err(path.kind(tree, &expected(shape, self.shapes))),
            },
            (Shape::List(shape), Tree::List(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| path.within(Step::Item(index), |path| self.fit(item, shape, path))),
            (Shape::Map(shape), Tree::Object(members)) => members.iter().try_for_each(|(name, value)| {
                path.within(Step::Member(&name.0), |path| {
                    if self.is_text(&name.0) { self.fit(value, shape, path) } else { Err(path.fault(Wrong::Nul)) }
                })
            }),
            (Shape::Tagged(variants), Tree::Object(_)) => {
                let Some(kind) = tree.member("type") else {
                    return path.within(Step::Member("type"), |path| Err(path.fault(Wrong::Missing)));
                };
                let shape = if let Tree::Text(kind) = kind { variants.get(kind.as_ref()) } else { None };
                match shape {
                    Some(shape) => self.fit(tree, shape, path),
                    None => path.within(Step::Member("type"), |path| {
                        let found = if let Tree::Text(text) = kind { shown(text) } else { kind.kind().to_owned() };
                        Err(path.fault(Wrong::Kind { found, expected: one_of(variants.keys()) }))
                    }),
                }
            }
            (Shape::Object(members), Tree::Object(given)) => self.object(given, members, path),
            (Shape::Choice(_) | Shape::Uuid, Tree::Text(text)) => {
                Err(path.fault(Wrong::Kind { found: shown(text), expected: expected(shape, self.shapes) }))
            }
            _ => Err(path.kind(tree, &expected(shape, self.shapes))),
        }
    }

    fn object(self, given: &'t [(Name<'_>, Tree<'_>)], members: &'t Members, path: &mut Path<'t>) -> Result<(), Fault> {
        for (name, value) in given {
            path.within(Step::Member(&name.0), |path| match members.known.get(name.0.as_ref()) {
                Some(shape) => self.fit(value, shape, path),
                None if members.open => Ok(()),
                None => {
                    let known = members.known.keys().cloned().collect();
                    Err(path.fault(Wrong::Unknown { name: name.0.clone().into_owned(), known }))
                }
            })?;
        }
        let missing = members.required.iter().find(|name| !given.iter().any(|(own, _)| own.0 == name.as_str()));
        match missing {
            Some(name) => path.within(Step::Member(name), |path| Err(path.fault(Wrong::Missing))),
            None => Ok(()),
        }
    }

    fn is_text(self, text: &str) -> bool {
        self.any_text || !text.contains('\0')
    }
}

fn is_kind(tree: &Tree<'_>, shape: &Shape, shapes: &Shapes) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Bool => matches!(tree, Tree::Bool),
        Shape::Text | Shape::Choice(_) | Shape::Uuid => matches!(tree, Tree::Text(_)),
        Shape::Count(_) | Shape::Integer(..) | Shape::Number => {
            matches!(tree, Tree::Count(_) | Tree::Negative(_) | Tree::Number)
        }
        Shape::List(_) => matches!(tree, Tree::List(_)),
        Shape::Map(_) | Shape::Object(_) | Shape::Tagged(_) => matches!(tree, Tree::Object(_)),
        Shape::Either(options) => options.iter().any(|option| is_kind(tree, option, shapes)),
        Shape::Nullable(shape) => matches!(tree, Tree::Null) || is_kind(tree, shape, shapes),
        Shape::Named(name) => is_kind(tree, shapes.find(name), shapes),
    }
}

fn one_of<'a>(choices: impl IntoIterator<Item = &'a String>) -> String {
    let choices: Vec<_> = choices.into_iter().map(|choice| format!("`{choice}`")).collect();
    format!("one of {}", choices.join(", "))
}

/// What was sent, as far as it helps to know.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn expected(shape: &Shape, shapes: &Shapes) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Bool => "a boolean".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Choice(choices) => one_of(choices),
        Shape::Uuid => "a UUID".to_owned(),
        Shape::Count(most) => format!("a whole number from 0 to {most}"),
        Shape::Integer(i64::MIN, u64::MAX) => "a whole number".to_owned(),
        Shape::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Shape::Number => "a number".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Object(_) | Shape::Tagged(_) => "an object".to_owned(),
        Shape::Either(options) => {
            options.iter().map(|option| expected(option, shapes)).collect::<Vec<_>>().join(" or ")
        }
        Shape::Nullable(shape) => expected(shape, shapes),
        Shape::Named(name) => expected(shapes.find(name), shapes),
    }
}

/// Where in the document one is. Made into text only for a fault.
#[derive(Default)]
struct Path<'t>(Vec<Step<'t>>);

#[derive(Clone, Copy)]
enum Step<'t> {
    Member(&'t str),
    Item(usize),
}

impl<'t> Path<'t> {
    fn within<T>(&mut self, step: Step<'t>, then: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step);
        let outcome = then(self);
        self.0.pop();
        outcome
    }

    fn kind(&self, tree: &Tree<'_>, expected: &str) -> Fault {
        let found = match tree {
            Tree::Count(number) => number.to_string(),
            Tree::Negative(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        self.fault(Wrong::Kind { found, expected: expected.to_owned() })
    }

    fn fault(&self, wrong: Wrong) -> Fault {
        let mut path = String::new();
        for step in &self.0 {
            // Writing to a String does not fail.
            let _ = match step {
                Step::Item(index) => write!(path, "[{index}]"),
                Step::Member(name) if path.is_empty() => write!(path, "{name}"),
                Step::Member(name) => write!(path, ".{name}"),
            };
        }
        Fault { path, wrong }
    }
}
