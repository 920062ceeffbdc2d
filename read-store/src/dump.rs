//! Every row of every table as text, for those who check the read model from outside.
//!
//! Only built with the feature `limits`. It must use nothing of this crate's own reading, and know no table's name.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use crate::error::{Doing, Error};

/// Every table of `schema` in the database at `url`, all of one moment: each row as JSON by column name, in the order of
/// that text's bytes. Times are in UTC, bytes are hexadecimal. Views and the record of migrations are left out.
///
/// Where the projections stand is among the tables: `projection_offsets`, `dead_letters` and what else a rebuild begins anew.
pub async fn dump(url: &str, schema: &str) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut connection = PgConnection::connect(url).await.doing("connecting for a dump")?;
    let begin = "begin isolation level repeatable read read only; set local time zone 'UTC'";
    sqlx::raw_sql(begin).execute(&mut connection).await.doing("beginning a dump")?;
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = $1 and tablename <> '_sqlx_migrations'",
    )
    .bind(schema)
    .fetch_all(&mut connection)
    .await
    .doing("pg_tables")?;
    let mut all = BTreeMap::new();
    for table in tables {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let rows = format!(
            "select row from (select to_jsonb(t)::text as row from {}.{} t) rows order by row collate \"C\"",
            quoted(schema),
            quoted(&table)
        );
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(&mut connection).await.doing("a table's dump")?;
        all.insert(table, rows);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use muster_domain::event::Event;
    use muster_domain::id::ProjectId;
    use uuid::Uuid;

    use super::*;
    use crate::{LIVE_SCHEMA, ReadStore};

    #[tokio::test]
    async fn a_dump_has_every_table_and_every_row() {
        let url = muster_test_kit::fresh_database("dump").await;
        let store = ReadStore::connect(&url, 2).await.unwrap();
        let records: Vec<_> = (0..)
            .zip(muster_schemas::samples::sample_events())
            .map(|(offset, event)| (offset, Arc::new(Event { project_id: ProjectId(Uuid::from_u128(1)), ..event })))
            .collect();
        store.apply_batch(0, &records, 1000).await.unwrap();

        let dump = dump(&url, LIVE_SCHEMA).await.unwrap();

        assert_eq!(dump["event_history"].len(), records.len());
        for row in &dump["event_history"] {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            assert_eq!(row["project_id"], Uuid::from_u128(1).to_string());
        }
        assert!(dump.contains_key("projection_offsets") && dump["dead_letters"].is_empty());
        assert!(!dump.contains_key("_sqlx_migrations") && !dump.contains_key("analytics_errors"));
    }
}
