//! The registry inside Postgres: which schema has which id, under the same compatibility rule as the real one.

use std::collections::HashMap;

use async_trait::async_trait;
use muster_schemas::{compatibility, event_schemas};
use sqlx::PgPool;

use super::errors::repeatable;
use crate::Error;
use crate::decode::SchemaSource;

/// The id of each event type's current schema.
pub(super) type SchemaIds = HashMap<&'static str, u32>;

/// Registers this build's schemas, each compatible with every version registered before.
pub(super) async fn register(pool: &PgPool) -> Result<SchemaIds, Error> {
    let failed = repeatable("schemas");
    let mut transaction = pool.begin().await.map_err(&failed)?;
    sqlx::query("LOCK TABLE muster_log.schemas IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    let mut registered: HashMap<String, Vec<(i32, String)>> = HashMap::new();
    let rows: Vec<(i32, String, String)> =
        sqlx::query_as("SELECT schema_id, subject, avsc FROM muster_log.schemas ORDER BY schema_id")
            .fetch_all(&mut *transaction)
            .await
            .map_err(&failed)?;
    for (id, subject, avsc) in rows {
        registered.entry(subject).or_default().push((id, avsc));
    }
    let mut ids = SchemaIds::new();
    for schema in event_schemas() {
        let versions = registered.remove(schema.event_type).unwrap_or_default();
        let known = versions.iter().find(|(_, avsc)| avsc == schema.json).map(|(id, _)| *id);
        let id = if let Some(id) = known {
            id
        } else {
            for (version, avsc) in &versions {
                compatibility::check(avsc, schema.json).map_err(|error| Error::Schema {
                    subject: schema.event_type.to_owned(),
                    reason: format!("incompatible with the registered schema {version}: {error}"),
                })?;
            }
            sqlx::query_scalar("INSERT INTO muster_log.schemas (subject, avsc) VALUES ($1, $2) RETURNING schema_id")
                .bind(schema.event_type)
                .bind(schema.json)
                .fetch_one(&mut *transaction)
                .await
                .map_err(&failed)?
        };
        ids.insert(schema.event_type, id.cast_unsigned());
    }
    transaction.commit().await.map_err(&failed)?;
    Ok(ids)
}

/// Schemas by id, from the table.
pub(super) struct SchemaTable(pub PgPool);

#[async_trait]
impl SchemaSource for SchemaTable {
    async fn fetch(&self, id: u32) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT avsc FROM muster_log.schemas WHERE schema_id = $1")
            .bind(id.cast_signed())
            .fetch_optional(&self.0)
            .await
            .map_err(repeatable("schemas"))
    }
}
