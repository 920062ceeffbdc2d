//! How large a document is, found in time and stack that grow with its text only. What comes after it (the parser, the
//! validation) recurses as deep as brackets nest, and walks through a fragment as often as it is spread, so that a
//! document of a few hundred bytes can keep it busy for ever. It must never know what a field means.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Bytes a document may have. Long texts belong in variables.
pub(super) const SIZE_BYTES_MAX: usize = 128 * 1024;

/// Brackets of any kind that may be open at once.
pub(super) const NESTING_MAX: usize = 128;

/// Why a document is not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Refused as `query_too_complex`.
    #[error("The document has more than {SIZE_BYTES_MAX} bytes.")]
    TooLong,
    /// Refused as `query_too_complex`.
    #[error("The document is nested too deep to be parsed.")]
    TooDeep,
    /// Refused as `query_too_complex`.
    #[error("A fragment of the document spreads itself.")]
    Cycle,
    /// Refused as `query_too_complex`.
    #[error("The document selects more than {limit} fields and fragments, each counted as often as it is spread.")]
    TooMany { limit: usize },
    /// Refused as `invalid_argument`.
    #[error("The document has a text that does not end.")]
    Unterminated,
}

/// Refuses what the parser must not see. Reads brackets, texts and comments as the parser does, and refuses a text without
/// an end, behind which the two might disagree.
pub(super) fn check_text(document: &str) -> Result<(), Error> {
    if document.len() > SIZE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let mut rest = document.as_bytes();
    let mut open = 0_usize;
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'{' | b'[' | b'(' => {
                open += 1;
                if open > NESTING_MAX {
                    return Err(Error::TooDeep);
                }
                behind
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                behind
            }
            b'#' => behind.iter().position(|byte| is_line_end(*byte)).map_or(&[][..], |end| &behind[end..]),
            b'"' => match behind.strip_prefix(b"\"\"") {
                Some(block) => behind_block(block)?,
                None => behind_string(behind)?,
            },
            _ => behind,
        };
    }
    Ok(())
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn behind_string(mut rest: &[u8]) -> Result<&[u8], Error> {
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Ok(behind),
            [b'\\', escaped, behind @ ..] if !is_line_end(*escaped) => behind,
            [byte, behind @ ..] if *byte != b'\\' && !is_line_end(*byte) => behind,
            _ => return Err(Error::Unterminated),
        }
    }
}

fn behind_block(mut rest: &[u8]) -> Result<&[u8], Error> {
    loop {
        rest = match rest {
            [b'"', b'"', b'"', behind @ ..] | [b'\\', b'"', b'"', b'"', behind @ ..] => {
                if rest[0] == b'"' {
                    return Ok(behind);
                }
                behind
            }
            [_, behind @ ..] => behind,
            [] => return Err(Error::Unterminated),
        }
    }
}

/// Refuses a document that selects more than `selections_max` fields and fragments in all its operations, or nests them
/// deeper than `depth_max`, once every fragment is put where it is spread.
pub(super) fn check_size(document: &ExecutableDocument, selections_max: usize, depth_max: usize) -> Result<(), Error> {
    let mut measure = Measure { document, depth_max, fragments: HashMap::new() };
    let limit = Error::TooMany { limit: selections_max };
    // Fragments that nothing spreads are walked through as well.
    for name in document.fragments.keys() {
        if measure.fragment(name, 0)?.selections > selections_max {
            return Err(limit);
        }
    }
    let mut all = 0_usize;
    for (_, operation) in document.operations.iter() {
        all = all.saturating_add(measure.set(&operation.node.selection_set.node, 0)?.selections);
    }
    if all > selections_max { Err(limit) } else { Ok(()) }
}

#[derive(Clone, Copy, Default)]
struct Size {
    selections: usize,
    depth: usize,
}

struct Measure<'d> {
    document: &'d ExecutableDocument,
    depth_max: usize,
    /// What is known of each fragment; `None` while it is being measured.
    fragments: HashMap<&'d Name, Option<Size>>,
}

impl<'d> Measure<'d> {
    /// The size of a set that stands `above` levels deep.
    fn set(&mut self, set: &'d SelectionSet, above: usize) -> Result<Size, Error> {
        let mut size = Size::default();
        if above > self.depth_max {
            return Err(Error::TooDeep);
        }
        for item in &set.items {
            let inner = match &item.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node, above + 1)?,
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node, above + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, above + 1)?,
            };
            size.selections = size.selections.saturating_add(inner.selections).saturating_add(1);
            size.depth = size.depth.max(inner.depth + 1);
        }
        Ok(size)
    }

    /// The size of a fragment, measured once; of one that is not there, nothing.
    fn fragment(&mut self, name: &Name, above: usize) -> Result<Size, Error> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(Size::default()) };
        let size = match self.fragments.get(name) {
            Some(Some(size)) => *size,
            Some(None) => return Err(Error::Cycle),
            None => {
                self.fragments.insert(name, None);
                let size = self.set(&fragment.node.selection_set.node, above)?;
                self.fragments.insert(name, Some(size));
                size
            }
        };
        if above + size.depth > self.depth_max { Err(Error::TooDeep) } else { Ok(size) }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn size(document: &str) -> Result<(), Error> {
        check_size(&parse_query(document).unwrap(), 100, 10)
    }

    #[test]
    fn nesting_is_counted_outside_texts_and_comments_only() {
        assert_eq!(check_text(&"{".repeat(NESTING_MAX)), Ok(()));
        assert_eq!(check_text(&"{[(".repeat(NESTING_MAX)), Err(Error::TooDeep));
        assert_eq!(check_text(&"{}[]()".repeat(NESTING_MAX)), Ok(()));
        let deep = "{".repeat(NESTING_MAX + 1);
        for text in ["\"_\"", "\"\\\"_\"", "\"\"\"_\n\\\"\"\"_\"\"\"", "#_\n", "# \" _"] {
            assert_eq!(check_text(&text.replace('_', &deep)), Ok(()), "{text}");
        }
        for text in ["\"\"_", "\"\\\\\"_", "\"\"\"\"\"\"_", "# \"\r_", "#\n_", "\"\"\"\\\"\"\"\"\"\"_"] {
            assert_eq!(check_text(&text.replace('_', &deep)), Err(Error::TooDeep), "{text}");
        }
        // The parser takes the first for two texts, and brackets behind them.
        for text in ["\"\"\"a\"_", "\"a\n_", "\"a\\", "\""] {
            assert_eq!(check_text(&text.replace('_', &deep)), Err(Error::Unterminated), "{text}");
        }
        assert_eq!(check_text(&" ".repeat(SIZE_BYTES_MAX + 1)), Err(Error::TooLong));
    }

    #[test]
    fn a_fragment_counts_as_often_as_it_is_spread() {
        let spread = |times: usize| format!("{{ {} }} fragment f on Q {{ a b c d }}", "...f ".repeat(times));
        assert_eq!(size(&spread(20)), Ok(()));
        assert_eq!(size(&spread(21)), Err(Error::TooMany { limit: 100 }));
        assert_eq!(size("query a { x } fragment f on Q { ...g } fragment g on Q { ...f }"), Err(Error::Cycle));
        assert_eq!(size("{ ...f } fragment f on Q { a { ...f } }"), Err(Error::Cycle));
        assert_eq!(size("{ ...unknown }"), Ok(()));
        let chain = |length: usize| {
            let links: Vec<_> = (0..length).map(|n| format!("fragment f{n} on Q {{ ...f{} }}", n + 1)).collect();
            let links = links.join(" ");
            format!("{{ ...f0 }} {links} fragment f{length} on Q {{ a }}")
        };
        assert_eq!(size(&chain(8)), Ok(()));
        assert_eq!(size(&chain(9)), Err(Error::TooDeep));
        assert_eq!(size(&chain(5_000)), Err(Error::TooDeep));
    }
}
