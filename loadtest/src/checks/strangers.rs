//! I10: no row of one project reaches a non-member.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::event::Log;
use super::{Evidence, Finding};
use crate::campaign::history::Peek;

/// Shorter texts may be anyone's.
const SECRET_BYTES_MIN: usize = 8;
/// Answers that depend on the moment.
const OF_THE_MOMENT: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// Status and code of answers.
type Answers = BTreeSet<(u16, String)>;

/// No answer holds an id or a text of the log that the question did not, and whether a project exists shows in none.
pub(super) fn check(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("I10", "strangers-learn-nothing");
    let peeks = &evidence.history.peeks;
    if peeks.is_empty() {
        return finding;
    }
    let secrets = Secrets::of(&evidence.log);
    let mut answers: BTreeMap<String, (Answers, Answers)> = BTreeMap::new();
    for peek in peeks {
        finding.examined();
        if secrets.members.contains(peek.caller.as_str()) {
            finding.violated(format!("{} is a member by the log, and was taken for a stranger", peek.caller));
        }
        if let Some(leak) = secrets.leak(peek) {
            finding.violated(format!("{} asked {:?} and was told of {leak}", peek.caller, peek.asked));
        }
        if let Some(project_id) = peek.project_id.filter(|_| !OF_THE_MOMENT.contains(&peek.status)) {
            let (existing, missing) = answers.entry(without_ids(&peek.asked)).or_default();
            let answers = if secrets.ids.contains(&project_id) { existing } else { missing };
            answers.insert((peek.status, code(&peek.body)));
        }
    }
    for (asked, (existing, missing)) in answers {
        if !existing.is_empty() && !missing.is_empty() && existing != missing {
            finding.violated(format!("{asked:?} shows whether a project exists: {existing:?} against {missing:?}"));
        }
    }
    finding
}

/// What only members may see.
struct Secrets<'a> {
    members: HashSet<&'a str>,
    ids: HashSet<Uuid>,
    texts: HashSet<&'a str>,
}

impl<'a> Secrets<'a> {
    fn of(log: &'a Log) -> Self {
        let mut secrets = Self { members: HashSet::new(), ids: HashSet::new(), texts: HashSet::new() };
        for event in &log.events {
            secrets.ids.extend([event.id, event.project_id].into_iter().chain(event.task_id));
            for field in ["run_id", "session_id", "subtask_id"] {
                secrets.ids.extend(event.uuid(field));
            }
            for field in ["name", "title", "description", "repository_path", "message"] {
                secrets.texts.extend(event.text(field).filter(|text| text.len() >= SECRET_BYTES_MIN));
            }
            match event.event_type.as_str() {
                "project.created" => secrets.members.extend(event.text("owner")),
                "project.member_added" => secrets.members.extend(event.text("user")),
                _ => {}
            }
        }
        secrets
    }

    /// Something of the log in an answer that was not in the question.
    fn leak(&self, peek: &Peek) -> Option<String> {
        let asked: HashSet<Uuid> = ids(&peek.asked).into_iter().chain(peek.project_id).collect();
        let id = ids(&peek.body).into_iter().find(|id| self.ids.contains(id) && !asked.contains(id));
        if let Some(id) = id {
            return Some(format!("id {id}"));
        }
        let secret = |text: &&str| self.texts.contains(*text) && !peek.asked.contains(*text);
        texts(&peek.body).iter().map(String::as_str).find(secret).map(|text| format!("text {text:?}"))
    }
}

/// Every text in a body: of its JSON, and of the JSON in the lines of a stream.
fn texts(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        collect(&value, &mut found);
        return found;
    }
    let lines = body.lines().filter_map(|line| line.strip_prefix("data:"));
    for value in lines.filter_map(|line| serde_json::from_str(line).ok()) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Every id in a text.
fn ids(text: &str) -> Vec<Uuid> {
    words(text).filter_map(|word| word.parse().ok()).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_hexdigit() && character != '-').filter(|word| word.len() == 36)
}

/// The question, whichever ids it names.
fn without_ids(asked: &str) -> String {
    words(asked).filter(|word| word.parse::<Uuid>().is_ok()).fold(asked.to_owned(), |text, id| text.replace(id, "*"))
}

/// The code of a problem document or of a GraphQL error.
fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let code = body.get("code").or_else(|| body.pointer("/errors/0/extensions/code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}
