//! A task as it once was, folded from its events, and what changed between two points.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use muster_domain::state::Task;
use muster_service_kit::Problem;
use serde_json::Value;

use super::enums::{Priority, TaskStatus};
use crate::fault::Result;

/// A task as it was right after one of its events.
#[derive(SimpleObject)]
pub struct TaskSnapshot {
    /// Sequence of that event.
    sequence: u64,
    status: TaskStatus,
    title: String,
    priority: Priority,
    /// When that event happened.
    updated_at: DateTime<Utc>,
    /// Everything the events up to it add up to, as the domain's fold has it.
    state: Value,
}

impl TaskSnapshot {
    pub(super) fn of(task: &Task) -> Result<Self> {
        Ok(Self {
            sequence: task.sequence,
            status: task.status.into(),
            title: task.title.clone(),
            priority: task.priority.into(),
            updated_at: task.updated_at.to_datetime(),
            state: serde_json::to_value(task).map_err(Problem::internal)?,
        })
    }
}

/// One value that differs between two states.
#[derive(Debug, PartialEq, SimpleObject)]
pub struct Difference {
    /// Where, as a JSON pointer into `state`.
    path: String,
    /// What it was; null where there was nothing.
    before: Option<Value>,
    /// What it is; null where there is nothing.
    after: Option<Value>,
}

/// What differs between two states, in the order of the fields.
pub(super) fn differences(before: &Task, after: &Task) -> Result<Vec<Difference>> {
    let before = serde_json::to_value(before).map_err(Problem::internal)?;
    let after = serde_json::to_value(after).map_err(Problem::internal)?;
    let mut found = Vec::new();
    compare(&mut String::new(), Some(&before), Some(&after), &mut found);
    Ok(found)
}

fn compare(path: &mut String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let name_in_pointer = name.replace('~', "~0").replace('/', "~1");
                below(path, &name_in_pointer, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                below(path, &index.to_string(), old.get(index), new.get(index), found);
            }
        }
        _ => {
            found.push(Difference { path: path.clone(), before: before.cloned(), after: after.cloned() });
        }
    }
}

fn below(path: &mut String, name: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let length = path.len();
    path.push('/');
    path.push_str(name);
    compare(path, before, after, found);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn diff(before: &Value, after: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        let mut found = Vec::new();
        compare(&mut String::new(), Some(before), Some(after), &mut found);
        found.into_iter().map(|difference| (difference.path, difference.before, difference.after)).collect()
    }

    #[test]
    fn names_what_changed_came_and_went() {
        let before = json!({ "same": 1, "list": [1, { "deep": true }], "gone": 4, "a/b": 1 });
        let after = json!({ "same": 1, "list": [1, { "deep": false }, 3], "new": "x", "a/b": 2 });
        let mut found = diff(&before, &after);
        found.sort_by(|left, right| left.0.cmp(&right.0));
        let expected = [
            ("/a~1b", Some(json!(1)), Some(json!(2))),
            ("/gone", Some(json!(4)), None),
            ("/list/1/deep", Some(json!(true)), Some(json!(false))),
            ("/list/2", None, Some(json!(3))),
            ("/new", None, Some(json!("x"))),
        ];
        assert_eq!(found, expected.map(|(path, before, after)| (path.to_owned(), before, after)));
    }

    #[test]
    fn equal_states_have_no_difference() {
        assert!(diff(&json!({ "a": [1] }), &json!({ "a": [1] })).is_empty());
    }
}
