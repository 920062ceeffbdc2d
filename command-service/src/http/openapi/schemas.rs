//! The schemas: read from `schemas.txt`, closed sets taken from the domain. It must never know a route.

use muster_domain::model;
use muster_schemas::OutputStream;
use serde_json::{Map, Value, json};

const TEXT: &str = include_str!("schemas.txt");

/// `$ref` to a schema.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every schema by name.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = Map::new();
    let mut commands = Vec::new();
    let mut reports = Vec::new();
    for (name, shape) in shapes() {
        if let Some(kind) = name.strip_prefix("Report.") {
            let title = format!("{}Report", camel(kind));
            schemas.insert(title.clone(), tagged(&shape, kind));
            reports.push((kind.to_owned(), title));
        } else if muster_command(&name) {
            let kind = snake(&name);
            schemas.insert(name.clone(), tagged(&shape, &kind));
            commands.push((kind, name));
        } else {
            let mut object = shape.object();
            // A problem has members that depend on its code.
            object["additionalProperties"] = json!(name == "Problem");
            schemas.insert(name, object);
        }
    }
    schemas.insert("Command".to_owned(), one_of("What can be asked.", &commands));
    schemas.insert("Report".to_owned(), one_of("What happened in a run.", &reports));
    let criterion = json!([{ "type": "string" }, reference("AcceptanceCriterion")]);
    let description = "A sentence, or a sentence with the check that shows it.";
    schemas.insert("Criterion".to_owned(), json!({ "description": description, "oneOf": criterion }));
    schemas.extend(closed_sets());
    schemas
}

/// The fields of a command, without those the route names and with those of the request: the body of its own route.
pub(super) fn body(command: &str, of_the_route: &[&str]) -> Value {
    let Some((_, mut shape)) = shapes().find(|(name, _)| name == command) else { return Value::Null };
    shape.fields.retain(|field| !of_the_route.contains(&field.name.as_str()));
    if let Some((_, request)) = shapes().find(|(name, _)| name == "CommandRequest") {
        let added = |field: &Field| {
            !["project_id", "command"].contains(&field.name.as_str())
                || field.name == "project_id" && command == "CreateProject"
        };
        shape.fields.extend(request.fields.into_iter().filter(added));
    }
    shape.object()
}

/// Whether a schema is a command: the names the domain knows.
fn muster_command(name: &str) -> bool {
    super::routes::COMMANDS.contains(&name)
}

#[derive(Debug, Clone)]
pub(super) struct Shape {
    description: String,
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    optional: bool,
    schema: Value,
}

impl Shape {
    fn object(&self) -> Value {
        let properties: Map<_, _> =
            self.fields.iter().map(|field| (field.name.clone(), field.schema.clone())).collect();
        let required: Vec<_> = self.fields.iter().filter(|field| !field.optional).map(|field| &field.name).collect();
        let mut object = json!({
            "type": "object",
            "description": self.description,
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }
}

fn tagged(shape: &Shape, kind: &str) -> Value {
    let mut shape = shape.clone();
    let tag = Field { name: "type".to_owned(), optional: false, schema: json!({ "const": kind }) };
    shape.fields.insert(0, tag);
    shape.object()
}

fn one_of(description: &str, variants: &[(String, String)]) -> Value {
    let mapping: Map<_, _> = variants
        .iter()
        .map(|(kind, name)| (kind.clone(), Value::from(format!("#/components/schemas/{name}"))))
        .collect();
    let variants: Vec<_> = variants.iter().map(|(_, name)| reference(name)).collect();
    json!({
        "description": description,
        "oneOf": variants,
        "discriminator": { "propertyName": "type", "mapping": mapping },
    })
}

fn shapes() -> impl Iterator<Item = (String, Shape)> {
    let blocks = TEXT.split("\n\n").map(|block| block.lines().filter(|line| !line.starts_with('#')));
    blocks.filter_map(|mut lines| {
        let (name, description) = lines.next()?.split_once(": ")?;
        let fields = lines.filter_map(field).collect();
        Some((name.to_owned(), Shape { description: description.to_owned(), fields }))
    })
}

fn field(line: &str) -> Option<Field> {
    let (name, rest) = line.trim().split_once(": ")?;
    let (kind, description) = rest.split_once(", ")?;
    let optional = name.ends_with(['?', '~']);
    let nullable = name.ends_with('?') || kind.ends_with("|null");
    let mut schema = kind_schema(kind.trim_end_matches("|null"));
    if nullable {
        schema = json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema["description"] = description.into();
    Some(Field { name: name.trim_end_matches(['?', '~']).to_owned(), optional, schema })
}

fn kind_schema(kind: &str) -> Value {
    let inner = |open, close| kind.strip_prefix(open).and_then(|kind| kind.strip_suffix(close));
    if let Some(items) = inner('[', ']') {
        return json!({ "type": "array", "items": kind_schema(items) });
    }
    if let Some(values) = inner('{', '}') {
        return json!({ "type": "object", "additionalProperties": kind_schema(values) });
    }
    match kind {
        "text" => json!({ "type": "string" }),
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "bool" => json!({ "type": "boolean" }),
        "count" => json!({ "type": "integer", "minimum": 0 }),
        // What a column of the read models holds, and what every reader of JSON holds exactly.
        "small" => json!({ "type": "integer", "minimum": 0, "maximum": i32::MAX }),
        "large" => json!({ "type": "integer", "minimum": 0, "maximum": (1_u64 << 53) - 1 }),
        "integer" => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        "number" => json!({ "type": "number" }),
        name => reference(name),
    }
}

fn closed_sets() -> impl Iterator<Item = (String, Value)> {
    macro_rules! sets {
        ($($name:literal: $values:expr, $description:literal;)+) => {
            [$(($name, $values.iter().map(|value| value.as_str()).collect::<Vec<_>>(), $description)),+]
        };
    }
    let sets = sets! {
        "Priority": model::Priority::ALL, "How urgent a task is.";
        "Complexity": model::Complexity::ALL, "How large a task is thought to be.";
        "TaskStatus": model::TaskStatus::ALL, "Where a task stands on the board.";
        "Role": model::Role::ALL, "What an agent is asked to be.";
        "RunResult": model::RunResult::ALL, "How a run ended.";
        "StrategyAction": model::StrategyAction::ALL, "What to do after an iteration.";
        "ArtifactKind": model::ArtifactKind::ALL, "What an artifact is.";
        "MemberRole": model::MemberRole::ALL, "What a member may do in a project.";
        "PreviewMode": model::PreviewMode::ALL, "How a preview of a task's branch is run.";
        "AgentKind": model::AgentKind::ALL, "How an agent is driven.";
        "BuildErrorKind": model::BuildErrorKind::ALL, "Why a run, an agent or a verification failed.";
        "FileChange": model::FileChange::ALL, "What happened to a file.";
        "OutputStream": OutputStream::ALL, "Where a line came from.";
    };
    sets.into_iter().map(|(name, values, description)| {
        (name.to_owned(), json!({ "type": "string", "enum": values, "description": description }))
    })
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel(name: &str) -> String {
    let words = name.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    words.collect()
}
