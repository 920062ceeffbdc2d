//! I5: a read model equals an independent fold of the log, and is byte-equal to a fresh rebuild.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::Event;
use super::fold::{Fold, KEYS, Row};
use super::history_rows;
use super::{Evidence, Finding};

/// Tables beside the read model: where the projection stands. A rebuild starts these anew.
const STATE: [&str; 5] =
    ["projection_offsets", "output_offsets", "dead_letters", "parked_projects", "_sqlx_migrations"];
/// Not rebuilt: the log keeps it for a while only.
const KEPT: &str = "agent_output";

/// Every table's rows, each a JSON object of its columns as Postgres writes it, in the order of the table's key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(pub BTreeMap<String, Vec<String>>);

impl Tables {
    /// Reads the read model in the database at `url`, all of it at one moment.
    pub async fn read(url: &str) -> anyhow::Result<Self> {
        Ok(Self(muster_read_store::dump::dump(url, muster_read_store::LIVE_SCHEMA).await?))
    }

    /// A table's rows. A row that is no object is one without columns.
    pub(super) fn rows(&self, table: &str) -> impl Iterator<Item = Row> {
        let rows = self.0.get(table).into_iter().flatten();
        rows.map(|row| serde_json::from_str(row).unwrap_or_default())
    }

    /// Whether the table was dumped at all.
    pub(super) fn has(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }
}

pub(super) fn check(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("I5", "rows-are-the-fold");
    let tables = &evidence.tables;
    let left_out = LeftOut::of(tables);
    let applied: Vec<&Event> = evidence.log.events.iter().filter(|event| !left_out.has(event)).collect();
    let fold = Fold::of(applied.iter().copied());
    for (table, key) in KEYS {
        compare(table, key, &fold, tables, &mut finding);
    }
    history_rows::compare(&applied, tables, &mut finding);
    if let Some(rebuilt) = &evidence.rebuilt {
        equal_bytes(tables, rebuilt, &mut finding);
    }
    finding
}

/// Events that wait behind a dead letter, or are one.
pub(super) struct LeftOut {
    parked: HashMap<Uuid, i64>,
    letters: BTreeSet<(u64, i64)>,
}

impl LeftOut {
    pub(super) fn of(tables: &Tables) -> Self {
        let number = |row: &Row, column: &str| row.get(column).and_then(Value::as_i64).unwrap_or(-1);
        let project = |row: &Row| row.get("project_id")?.as_str()?.parse().ok();
        let parked = tables.rows("parked_projects");
        let parked = parked.filter_map(|row| Some((project(&row)?, number(&row, "from_offset")))).collect();
        let letters = tables.rows("dead_letters").filter(|row| row.get("state") != Some(&"retried".into()));
        let letters = letters.map(|row| (number(&row, "partition").cast_unsigned(), number(&row, "log_offset")));
        Self { parked, letters: letters.collect() }
    }

    pub(super) fn has(&self, event: &Event) -> bool {
        self.parked.get(&event.project_id).is_some_and(|from| event.offset >= *from)
            || self.is_letter(event.partition, event.offset)
    }

    pub(super) fn is_letter(&self, partition: u32, offset: i64) -> bool {
        self.letters.contains(&(u64::from(partition), offset))
    }
}

/// Each row is the fold's, in every column the fold has.
fn compare(table: &str, key: &[&str], fold: &Fold, tables: &Tables, finding: &mut Finding) {
    let mut seen = BTreeSet::new();
    for row in tables.rows(table) {
        finding.examined();
        let key = key.iter().map(|column| row.get(*column).and_then(Value::as_str).unwrap_or_default());
        let key = key.collect::<Vec<_>>().join(" ");
        let Some(expected) = fold.get(table, &key) else {
            finding.violated(format!("{table} {key}: there is a row, and nothing in the log makes one"));
            continue;
        };
        for (column, expected) in expected {
            let found = row.get(column).map_or(Value::Null, |value| plain(column, value));
            if !same(&found, expected) {
                finding.violated(format!("{table} {key}: {column} is {found}, by the log it is {expected}"));
            }
        }
        seen.insert(key);
    }
    for (key, _) in fold.rows(table).filter(|(key, _)| !seen.contains(*key)) {
        finding.violated(format!("{table} {key}: the row is missing"));
    }
}

/// A column's value as the fold has it: times in microseconds.
pub(super) fn plain(column: &str, value: &Value) -> Value {
    match value.as_str() {
        Some(text) if column.ends_with("_at") => micros(text).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

/// Postgres writes 2026-01-01T00:00:00.5+00:00 in JSON.
pub(super) fn micros(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

/// Equal, where 1 and 1.0 are.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|it| same(value, it)))
        }
        _ => one == other,
    }
}

fn equal_bytes(live: &Tables, rebuilt: &Tables, finding: &mut Finding) {
    let of_the_model = |table: &&String| !STATE.contains(&table.as_str()) && *table != KEPT;
    let names: BTreeSet<&String> = live.0.keys().chain(rebuilt.0.keys()).filter(of_the_model).collect();
    for table in names {
        let (before, after) = (live.0.get(table), rebuilt.0.get(table));
        let (Some(before), Some(after)) = (before, after) else {
            finding.violated(format!("{table} is there only before or only after the rebuild"));
            continue;
        };
        finding.examined();
        if before.len() != after.len() {
            finding.violated(format!("{table} has {} rows, rebuilt {}", before.len(), after.len()));
        }
        for (before, after) in before.iter().zip(after).filter(|(before, after)| before != after).take(3) {
            finding.violated(format!("{table} has {before}, rebuilt {after}"));
        }
    }
}

/// Columns as text, for evidence.
pub(super) fn column<'r>(row: &'r Map<String, Value>, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}
