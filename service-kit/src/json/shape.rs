//! Shapes of JSON, taken from JSON Schema, so that what is documented is what is accepted. It must never be stricter
//! than the schema it was made from: what a type alone can tell is left to the type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// Nothing is known of it.
    Any,
    Bool,
    Text,
    /// Text that is one of these.
    Choice(Vec<String>),
    /// Text that is a UUID.
    Uuid,
    /// A whole number from 0 to this.
    Count(u64),
    /// A whole number of this range.
    Integer(i64, u64),
    Number,
    List(Box<Shape>),
    /// An object whose names are free.
    Map(Box<Shape>),
    Object(Members),
    /// An object whose `type` says which of these it is.
    Tagged(BTreeMap<String, Shape>),
    /// The first of these that is of the value's kind.
    Either(Vec<Shape>),
    /// This, or null.
    Nullable(Box<Shape>),
    Named(String),
}

/// The members an object may have.
#[derive(Debug)]
pub(super) struct Members {
    pub known: BTreeMap<String, Shape>,
    /// Those it must have.
    pub required: Vec<String>,
    /// Whether it may have others.
    pub open: bool,
}

/// Shapes by name.
#[derive(Debug)]
pub struct Shapes(BTreeMap<String, Shape>);

impl Shapes {
    /// Of `components.schemas` of an OpenAPI document. What it does not understand, it lets pass.
    pub fn of_schemas(schemas: &Map<String, Value>) -> Self {
        Self(schemas.iter().map(|(name, schema)| (name.clone(), shape(schema))).collect())
    }

    pub(super) fn find(&self, name: &str) -> &Shape {
        self.0.get(name).unwrap_or(&Shape::Any)
    }
}

fn shape(schema: &Value) -> Shape {
    if let Some(name) = referred(schema) {
        return Shape::Named(name.to_owned());
    }
    if let Some(mapping) = schema["discriminator"]["mapping"].as_object() {
        let named = |target: &Value| last_segment(target).map_or(Shape::Any, |name| Shape::Named(name.to_owned()));
        return Shape::Tagged(mapping.iter().map(|(kind, target)| (kind.clone(), named(target))).collect());
    }
    if let Some(options) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let is_null = |schema: &&Value| schema["type"] == "null";
        let mut shapes: Vec<_> = options.iter().filter(|option| !is_null(option)).map(shape).collect();
        let only = if shapes.len() == 1 { shapes.pop() } else { None };
        let either = only.unwrap_or(Shape::Either(shapes));
        return if options.iter().any(|option| is_null(&option)) { Shape::Nullable(Box::new(either)) } else { either };
    }
    match schema["type"].as_str() {
        Some("string") => text(schema),
        Some("boolean") => Shape::Bool,
        Some("integer") => {
            let maximum = schema["maximum"].as_u64().unwrap_or(u64::MAX);
            let minimum = schema["minimum"].as_i64().unwrap_or(i64::MIN);
            if minimum == 0 { Shape::Count(maximum) } else { Shape::Integer(minimum, maximum) }
        }
        Some("number") => Shape::Number,
        Some("array") => Shape::List(Box::new(shape(&schema["items"]))),
        Some("object") => object(schema),
        _ if schema["const"].is_string() => text(schema),
        _ => Shape::Any,
    }
}

fn text(schema: &Value) -> Shape {
    let only = schema["const"].as_str().map(|only| vec![only.to_owned()]);
    let choices = || schema["enum"].as_array()?.iter().map(|choice| choice.as_str().map(str::to_owned)).collect();
    match only.or_else(choices) {
        Some(choices) => Shape::Choice(choices),
        None if schema["format"] == "uuid" => Shape::Uuid,
        None => Shape::Text,
    }
}

fn object(schema: &Value) -> Shape {
    let values = &schema["additionalProperties"];
    let Some(properties) = schema["properties"].as_object() else {
        return if values.is_object() { Shape::Map(Box::new(shape(values))) } else { Shape::Any };
    };
    let required = schema["required"].as_array().into_iter().flatten();
    let may_be_null = |name: &str| matches!(shape(&properties[name]), Shape::Nullable(_));
    Shape::Object(Members {
        known: properties.iter().map(|(name, schema)| (name.clone(), shape(schema))).collect(),
        required: required.filter_map(Value::as_str).filter(|name| !may_be_null(name)).map(str::to_owned).collect(),
        open: *values != Value::Bool(false),
    })
}

fn referred(schema: &Value) -> Option<&str> {
    last_segment(schema.get("$ref")?)
}

fn last_segment(path: &Value) -> Option<&str> {
    path.as_str()?.rsplit('/').next()
}
