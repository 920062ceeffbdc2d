//! The log in a real Postgres, in a database of its own.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{DeadLetter, EventLog, LogOffset};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};

use super::{Harness, PARTITIONS, Repeats, unknown_datum, unknown_schema};

pub struct Postgres {
    pub config: PostgresConfig,
    sql: PgPool,
}

/// Connections without a time limit, as the log's own, and for the same reason.
pub async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().idle_timeout(None).max_lifetime(None).connect(url).await.expect("a database")
}

impl Postgres {
    pub async fn start() -> Self {
        let url = muster_test_kit::fresh_database("event_log").await;
        let sql = pool(&url).await;
        // Polling is far away, so that a subscription that is not woken shows.
        let config = PostgresConfig {
            partitions: PARTITIONS,
            max_connections: 6,
            poll_interval_ms: 30_000,
            ..PostgresConfig::new(url)
        };
        PostgresLog::connect(&config).await.expect("a log");
        Self { config, sql }
    }

    async fn inject(&self, partition: u32, project: ProjectId, position: Option<i64>, event_type: &str, value: &[u8]) {
        sqlx::query(
            "WITH head AS (UPDATE muster_log.partitions SET end_offset = end_offset + 1 WHERE partition = $1
                           RETURNING end_offset - 1 AS log_offset)
             INSERT INTO muster_log.events SELECT $1, log_offset, $2, $3, $4, $5 FROM head",
        )
        .bind(partition.cast_signed())
        .bind(project.0)
        .bind(position)
        .bind(event_type)
        .bind(value)
        .execute(&self.sql)
        .await
        .expect("inserted");
    }
}

#[async_trait]
impl Harness for Postgres {
    async fn connect(&self) -> Arc<dyn EventLog> {
        Arc::new(PostgresLog::connect(&self.config).await.expect("a log"))
    }

    async fn inject_poison(&self, partition: u32, project: ProjectId, value: &[u8]) {
        self.inject(partition, project, None, "task.started", value).await;
    }

    async fn inject_unknown(&self, partition: u32, event: &Event, mood: &str) {
        let id: i32 = sqlx::query_scalar(
            "INSERT INTO muster_log.schemas (subject, avsc) VALUES ('task.teleported', $1) RETURNING schema_id",
        )
        .bind(unknown_schema())
        .fetch_one(&self.sql)
        .await
        .expect("inserted");
        let value = [&[0][..], &id.to_be_bytes(), &unknown_datum(event, mood)].concat();
        let position = Some(event.position.cast_signed());
        self.inject(partition, event.project_id, position, "task.teleported", &value).await;
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let rows = sqlx::query("SELECT * FROM muster_log.dead_letters ORDER BY dead_letter_id");
        let rows = rows.fetch_all(&self.sql).await.expect("readable");
        let letter = |row: &sqlx::postgres::PgRow| DeadLetter {
            partition: row.get::<i32, _>("partition").cast_unsigned(),
            offset: LogOffset(row.get("log_offset")),
            consumer: row.get("consumer"),
            error: row.get("error"),
            attempts: row.get::<i32, _>("attempts").cast_unsigned(),
            failed_at: Timestamp::from_micros(row.get("failed_at_micros")),
            event_type: row.get("event_type"),
            project_id: row.get::<Option<uuid::Uuid>, _>("project_id").map(ProjectId),
            value: Bytes::from(row.get::<Vec<u8>, _>("value")),
            headers: row.get::<sqlx::types::Json<Vec<(String, String)>>, _>("headers").0,
        };
        rows.iter().map(letter).collect()
    }

    async fn damage_snapshot(&self, partition: u32) -> bool {
        let damaged = sqlx::query(
            "UPDATE muster_log.snapshot_chunks SET content = set_byte(content, 7, 255 - get_byte(content, 7))
             WHERE chunk = 0 AND snapshot_id =
                (SELECT snapshot_id FROM muster_log.snapshots WHERE partition = $1 ORDER BY ordinal DESC LIMIT 1)",
        );
        let damaged = damaged.bind(partition.cast_signed()).execute(&self.sql).await.expect("updated");
        damaged.rows_affected() == 1
    }

    fn repeats(&self) -> Repeats {
        Repeats::Dropped
    }
}
