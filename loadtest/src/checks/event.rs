//! The log's records as the checkers read them: with the schema each was written with, as any Avro reader would.
//! It must never know which types of events there are.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, anyhow, bail};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use muster_event_log::raw::{RawLog, RawRecord, View};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An event, decoded without the product's own types.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Partition it was read from.
    pub partition: u32,
    /// Offset it was read from.
    pub offset: i64,
    /// As of its record.
    pub append: u64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// When it happened, in microseconds since 1970.
    pub at_micros: i64,
    /// Its project.
    pub project_id: Uuid,
    /// Its task, where it concerns one.
    pub task_id: Option<Uuid>,
    /// Count within the task.
    pub sequence: u64,
    /// Count within the project.
    pub position: u64,
    /// The surface it came through.
    pub source: String,
    /// Who caused it.
    pub actor: String,
    /// By which command.
    pub command_id: Uuid,
    /// That command's digest.
    pub command_digest: Option<String>,
    /// The event that caused it.
    pub causation_id: Option<Uuid>,
    /// The chain it stands in.
    pub correlation_id: Uuid,
    /// What happened.
    pub data: Map<String, Value>,
}

impl Event {
    /// Where it stands, for evidence.
    pub fn place(&self) -> String {
        format!("{} {} at {}/{} (position {})", self.event_type, self.id, self.partition, self.offset, self.position)
    }

    /// An id in its data.
    pub fn uuid(&self, field: &str) -> Option<Uuid> {
        self.text(field)?.parse().ok()
    }

    /// A text in its data.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.data.get(field)?.as_str()
    }

    /// A count in its data.
    pub fn number(&self, field: &str) -> Option<u64> {
        self.data.get(field)?.as_u64()
    }
}

/// A record that holds no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<String>,
    /// Why it cannot be read.
    pub why: String,
}

/// A whole log.
#[derive(Debug, Default)]
pub struct Log {
    /// Every event, in the order of partition and offset.
    pub events: Vec<Event>,
    /// Every other record.
    pub unreadable: Vec<Unreadable>,
}

impl Log {
    /// Decodes `records`, given in any order. `schemas` are the texts of the writers' schemas by id.
    ///
    /// # Errors
    /// When a schema is none.
    pub fn decode(records: Vec<RawRecord>, schemas: &BTreeMap<u32, String>) -> anyhow::Result<Self> {
        let parse = |(id, text): (&u32, &String)| {
            Ok((*id, Schema::parse_str(text).with_context(|| format!("schema {id} cannot be parsed"))?))
        };
        let schemas = schemas.iter().map(parse).collect::<anyhow::Result<HashMap<_, _>>>()?;
        let reader = |(id, schema): (&u32, _)| Ok((*id, GenericDatumReader::builder(schema).build()?));
        let readers = schemas.iter().map(reader).collect::<anyhow::Result<HashMap<_, _>>>()?;
        let mut log = Self::default();
        for record in records {
            match decode(&record, &readers) {
                Ok(event) => log.events.push(event),
                Err(error) => log.unreadable.push(Unreadable {
                    partition: record.partition,
                    offset: record.offset,
                    key: record.key.map(|key| String::from_utf8_lossy(&key).into_owned()),
                    why: format!("{error:#}"),
                }),
            }
        }
        log.events.sort_by_key(|event| (event.partition, event.offset));
        log.unreadable.sort_by_key(|record| (record.partition, record.offset));
        Ok(log)
    }

    /// Reads and decodes everything that is committed.
    pub async fn read(raw: &RawLog) -> anyhow::Result<Self> {
        let records = raw.records(View::Committed).await?;
        let schemas = raw.schemas(&Self::schema_ids(&records)).await?;
        Self::decode(records, &schemas)
    }

    /// Ids of the schemas that `records` were written with.
    pub fn schema_ids(records: &[RawRecord]) -> std::collections::BTreeSet<u32> {
        records.iter().filter_map(|record| framed(&record.value).map(|(id, _)| id)).collect()
    }

    /// The newest position of each project.
    pub fn positions(&self) -> BTreeMap<Uuid, u64> {
        let mut positions = BTreeMap::new();
        for event in &self.events {
            let position = positions.entry(event.project_id).or_insert(0);
            *position = event.position.max(*position);
        }
        positions
    }
}

fn framed(value: &[u8]) -> Option<(u32, &[u8])> {
    let (head, datum) = value.split_at_checked(5)?;
    let (0, id) = (head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]])) else { return None };
    Some((id, datum))
}

fn decode(record: &RawRecord, readers: &HashMap<u32, GenericDatumReader<'_>>) -> anyhow::Result<Event> {
    let (id, mut datum) = framed(&record.value).context("the value does not begin with a schema's id")?;
    let reader = readers.get(&id).with_context(|| format!("there is no schema {id}"))?;
    let value = reader.read_value(&mut datum)?;
    if !datum.is_empty() {
        bail!("{} bytes follow the datum", datum.len());
    }
    let Value::Object(mut fields) = json(value)? else { bail!("the datum is no record") };
    let id_of = |value: &Value| -> anyhow::Result<Uuid> { Ok(value.as_str().context("no text")?.parse()?) };
    let mut take = |name: &str| fields.remove(name).ok_or_else(|| anyhow!("the field {name} is missing"));
    let optional = |value: Value| if value.is_null() { Ok(None) } else { id_of(&value).map(Some) };
    let text = |value: Value| value.as_str().map(str::to_owned).context("no text");
    let count = |value: Value| value.as_u64().context("no count");
    Ok(Event {
        partition: record.partition,
        offset: record.offset,
        append: record.append,
        id: id_of(&take("id")?)?,
        event_type: text(take("type")?)?,
        at_micros: take("timestamp")?.as_i64().context("no time")?,
        project_id: id_of(&take("project_id")?)?,
        task_id: optional(take("task_id")?)?,
        sequence: count(take("sequence")?)?,
        position: count(take("position")?)?,
        source: text(take("source")?)?,
        actor: text(take("actor")?)?,
        command_id: id_of(&take("command_id")?)?,
        command_digest: take("command_digest")?.as_str().map(str::to_owned),
        causation_id: optional(take("causation_id")?)?,
        correlation_id: id_of(&take("correlation_id")?)?,
        data: match take("data")? {
            Value::Object(data) => data,
            _ => bail!("data is no record"),
        },
    })
}

/// Avro as JSON. Text is as Postgres can hold it: U+FFFD stands for NUL.
fn json(value: Avro) -> anyhow::Result<Value> {
    let plain = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    Ok(match value {
        Avro::Null => Value::Null,
        Avro::Boolean(flag) => flag.into(),
        Avro::Int(number) => number.into(),
        Avro::Long(number) | Avro::TimestampMicros(number) => number.into(),
        Avro::Float(number) => f64::from(number).into(),
        Avro::Double(number) => number.into(),
        Avro::String(text) | Avro::Enum(_, text) => plain(text).into(),
        Avro::Uuid(id) => id.to_string().into(),
        Avro::Union(_, inner) => json(*inner)?,
        Avro::Array(items) => items.into_iter().map(json).collect::<anyhow::Result<_>>()?,
        Avro::Map(entries) => object(entries.into_iter().map(|(key, value)| (plain(key), value)))?,
        Avro::Record(fields) => object(fields.into_iter())?,
        other => bail!("a value of an unexpected kind: {other:?}"),
    })
}

fn object(fields: impl Iterator<Item = (String, Avro)>) -> anyhow::Result<Value> {
    fields.map(|(name, value)| Ok((name, json(value)?))).collect::<anyhow::Result<Map<_, _>>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use apache_avro::writer::datum::GenericDatumWriter;

    use super::*;

    /// A schema such as the log's, with one field of each kind in its data.
    const SCHEMA: &str = r#"{"type":"record","name":"Thing","namespace":"n","fields":[
        {"name":"id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"type","type":"string"},
        {"name":"timestamp","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"project_id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"task_id","type":["null",{"type":"string","logicalType":"uuid"}],"default":null},
        {"name":"sequence","type":"long"},{"name":"position","type":"long"},
        {"name":"source","type":"string"},{"name":"actor","type":"string"},
        {"name":"command_id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"command_digest","type":["null","string"],"default":null},
        {"name":"causation_id","type":["null",{"type":"string","logicalType":"uuid"}],"default":null},
        {"name":"correlation_id","type":{"type":"string","logicalType":"uuid"}},
        {"name":"data","type":{"type":"record","name":"Data","fields":[
            {"name":"title","type":"string"},{"name":"cost","type":["null","double"]},
            {"name":"tags","type":{"type":"array","items":"string"}}]}}]}"#;

    fn datum(schema: &Schema) -> Vec<u8> {
        let id = |n| Avro::Uuid(Uuid::from_u128(n));
        let text = |text: &str| Avro::String(text.to_owned());
        let some = |value| Avro::Union(1, Box::new(value));
        let data = vec![
            ("title".into(), text("a\0b")),
            ("cost".into(), some(Avro::Double(1.5))),
            ("tags".into(), Avro::Array(vec![text("x")])),
        ];
        let record = Avro::Record(vec![
            ("id".into(), id(1)),
            ("type".into(), text("thing.done")),
            ("timestamp".into(), Avro::TimestampMicros(7)),
            ("project_id".into(), id(2)),
            ("task_id".into(), some(id(3))),
            ("sequence".into(), Avro::Long(4)),
            ("position".into(), Avro::Long(5)),
            ("source".into(), text("cli")),
            ("actor".into(), text("ada")),
            ("command_id".into(), id(6)),
            ("command_digest".into(), some(text("d"))),
            ("causation_id".into(), Avro::Union(0, Box::new(Avro::Null))),
            ("correlation_id".into(), id(6)),
            ("data".into(), Avro::Record(data)),
        ]);
        GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(record).unwrap()
    }

    #[test]
    fn a_record_is_read_by_its_writers_schema_and_another_is_unreadable() {
        let schema = Schema::parse_str(SCHEMA).unwrap();
        let value = [&[0, 0, 0, 0, 9][..], &datum(&schema)].concat();
        let record =
            RawRecord { partition: 1, offset: 2, key: Some(b"k".to_vec()), headers: Vec::new(), value, append: 3 };
        let longer = RawRecord { offset: 3, value: [&record.value[..], &[0]].concat(), ..record.clone() };
        let foreign = RawRecord { offset: 4, value: b"hello".to_vec(), ..record.clone() };
        let unknown = RawRecord { offset: 5, value: vec![0, 0, 0, 0, 8], ..record.clone() };
        let records = vec![unknown, foreign, longer, record];
        assert_eq!(Log::schema_ids(&records), [8, 9].into());

        let log = Log::decode(records, &[(9, SCHEMA.to_owned())].into()).unwrap();

        let [event] = &log.events[..] else { panic!("{:?}", log.events) };
        assert_eq!((event.partition, event.offset, event.append), (1, 2, 3));
        assert_eq!((event.sequence, event.position, event.at_micros), (4, 5, 7));
        assert_eq!((event.task_id, event.causation_id), (Some(Uuid::from_u128(3)), None));
        assert_eq!(
            Value::Object(event.data.clone()),
            serde_json::json!({"title": "a\u{fffd}b", "cost": 1.5, "tags": ["x"]})
        );
        assert_eq!(log.unreadable.iter().map(|record| record.offset).collect::<Vec<_>>(), [3, 4, 5]);
    }
}
