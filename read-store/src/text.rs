//! Text that Postgres can hold: everything but U+0000. It must never change any other character.

use std::borrow::Cow;

#[cfg(any(test, feature = "limits"))]
use serde_json::Value;

const ESCAPED_NUL: &str = "\\u0000";

/// Replaces each NUL in the strings of a JSON document by U+FFFD; Postgres's text and jsonb cannot hold it.
pub(crate) fn without_nul(json: String) -> String {
    if !json.contains(ESCAPED_NUL) {
        return json;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(index) = rest.find('\\') {
        let (before, escape) = rest.split_at(index);
        clean.push_str(before);
        // Serialised JSON has ASCII after every backslash.
        let length = if escape.starts_with(ESCAPED_NUL) { ESCAPED_NUL.len() } else { 2.min(escape.len()) };
        clean.push_str(if length == ESCAPED_NUL.len() { "\u{fffd}" } else { &escape[..length] });
        rest = &escape[length..];
    }
    clean.push_str(rest);
    clean
}

/// A text that Postgres can hold.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The same for a value in memory.
#[cfg(any(test, feature = "limits"))]
pub(crate) fn value_without_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(value_without_nul),
        Value::Object(map) => {
            map.values_mut().for_each(value_without_nul);
            if map.keys().any(|key| key.contains('\0')) {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(key, value)| (key.replace('\0', "\u{fffd}"), value))
                    .collect();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_nul_is_replaced() {
        let document = json!({"a": "x\0y", "b": "\\u0000 \\\0 \"\u{1}é", "c": ["\0"], "k\0": 1});
        let mut expected = document.clone();
        value_without_nul(&mut expected);

        let clean: Value = serde_json::from_str(&without_nul(document.to_string())).unwrap();

        assert_eq!(clean, expected);
        assert_eq!(clean["a"], "x\u{fffd}y");
        assert_eq!(clean["b"], "\\u0000 \\\u{fffd} \"\u{1}é");
    }

    #[test]
    fn other_text_is_left_alone() {
        let text = json!({"a": "\\ \n \u{7f}"}).to_string();
        assert_eq!(without_nul(text.clone()), text);
    }
}
