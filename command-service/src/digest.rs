//! A command's digest: tells a command that is sent again from another one under the same id.

use muster_domain::command::Command;
use muster_domain::id::ProjectId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// SHA-256, in hexadecimal, of project, command and actor as canonical JSON: members sorted, nulls left out, so that a
/// field that is added later does not change the digest of commands without it.
pub(crate) fn digest(project_id: ProjectId, command: &Command, actor: &str) -> String {
    let value = json!({ "project_id": project_id, "command": command, "actor": actor });
    let mut text = String::new();
    canonical(&value, &mut text);
    hex::encode(Sha256::digest(text))
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_absence_do_not_count_and_content_does() {
        let text = |json: &str| {
            let mut out = String::new();
            canonical(&serde_json::from_str(json).unwrap(), &mut out);
            out
        };
        assert_eq!(text(r#"{"b":[1,{"y":null,"x":"ü\n"}],"a":true}"#), r#"{"a":true,"b":[1,{"x":"ü\n"}]}"#);
        assert_ne!(text(r#"{"a":1}"#), text(r#"{"a":"1"}"#));
    }
}
