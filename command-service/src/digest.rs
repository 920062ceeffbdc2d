//! A command's digest: tells a command that is sent again from another one under the same id.

use muster_domain::command::Command;
use muster_domain::id::ProjectId;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Room for most commands.
const TYPICAL_BYTES: usize = 512;

/// SHA-256, in hexadecimal, of project, command and actor as canonical JSON: members sorted, nulls left out, so that a
/// field that is added later does not change the digest of commands without it.
pub(crate) fn digest(project_id: ProjectId, command: &Command, actor: &str) -> String {
    with_size(project_id, command, actor).0
}

/// As [`digest`], and how many bytes that JSON has.
pub(crate) fn with_size(project_id: ProjectId, command: &Command, actor: &str) -> (String, usize) {
    let value = json!({ "project_id": project_id, "command": command, "actor": actor });
    let mut text = Vec::with_capacity(TYPICAL_BYTES);
    canonical(&value, &mut text);
    (hex::encode(Sha256::digest(&text)), text.len())
}

fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(name, out);
                out.push(b':');
                canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        scalar => write(scalar, out),
    }
}

fn write(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("text and numbers can be written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_absence_do_not_count_and_content_does() {
        let text = |json: &str| {
            let mut out = Vec::new();
            canonical(&serde_json::from_str(json).unwrap(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(r#"{"b":[1,{"y":null,"x":"ü\n"}],"a":true}"#), r#"{"a":true,"b":[1,{"x":"ü\n"}]}"#);
        assert_ne!(text(r#"{"a":1}"#), text(r#"{"a":"1"}"#));
    }
}
