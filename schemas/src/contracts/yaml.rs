//! Writing YAML: just enough of it for a generated file, in the order given. It must never read any.

use std::fmt::Write;

/// A YAML node.
pub(super) enum Yaml {
    Text(String),
    Number(i64),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A map with these entries, in this order.
pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Yaml)>) -> Yaml {
    Yaml::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// A map with the one entry `$ref`.
pub(super) fn reference(to: impl Into<String>) -> Yaml {
    map([("$ref", Yaml::Text(to.into()))])
}

/// Text as YAML: bare where that is safe, else quoted as JSON, which YAML contains.
fn scalar(text: &str) -> String {
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if bare { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

impl Yaml {
    /// The document.
    pub(super) fn document(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0).expect("a string takes any text");
        text
    }

    fn write(&self, out: &mut String, depth: usize) -> std::fmt::Result {
        let indent = "  ".repeat(depth);
        match self {
            Self::Text(text) => writeln!(out, "{}", scalar(text)),
            Self::Number(number) => writeln!(out, "{number}"),
            Self::List(items) => items.iter().try_for_each(|item| {
                let mut inner = String::new();
                item.write(&mut inner, depth + 1)?;
                // The first line of a nested map or list begins after the dash.
                write!(out, "{indent}- {}", inner.trim_start())
            }),
            Self::Map(entries) => entries.iter().try_for_each(|(key, value)| {
                write!(out, "{indent}{}:", scalar(key))?;
                match value {
                    Self::Text(_) | Self::Number(_) => write!(out, " ")?,
                    Self::List(items) if items.is_empty() => return writeln!(out, " []"),
                    Self::Map(entries) if entries.is_empty() => return writeln!(out, " {{}}"),
                    Self::List(_) | Self::Map(_) => writeln!(out)?,
                }
                value.write(out, depth + 1)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_as_yaml() {
        let document = map([
            ("plain", "a.b-c/d".into()),
            ("quoted", "a: \"b\"".into()),
            ("$odd", "true".into()),
            ("list", Yaml::List(vec![map([("a", Yaml::Number(1)), ("b", "x".into())]), "y".into()])),
            ("empty", map::<String>([])),
        ]);
        let expected = "plain: a.b-c/d\nquoted: \"a: \\\"b\\\"\"\n\"$odd\": \"true\"\nlist:\n  - a: 1\n    b: x\n  - y\nempty: {}\n";
        assert_eq!(document.document(), expected);
    }
}
