//! Agent output and dead letters.

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::column;
use super::errors::repeatable;
use crate::{AgentOutput, DeadLetter, Error, LogOffset, OutputRecord};

/// Takes a range of offsets, under the partition's lock, and fills it with the lines that are not there yet.
const APPEND: &str = "
    WITH head AS (
        UPDATE muster_log.partitions SET output_end_offset = output_end_offset + cardinality($2::uuid[])
        WHERE partition = $1
        RETURNING output_end_offset - cardinality($2::uuid[]) AS start
    )
    INSERT INTO muster_log.agent_output
        (partition, log_offset, project_id, task_id, run_id, line_number, timestamp_micros, stream, content)
    SELECT $1, head.start + l.ordinal - 1, l.project_id, l.task_id, l.run_id, l.line_number, l.timestamp_micros, l.stream, l.content
    FROM head, UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[])
        WITH ORDINALITY AS l (project_id, task_id, run_id, line_number, timestamp_micros, stream, content, ordinal)
    ON CONFLICT (run_id, line_number) DO NOTHING";

pub(super) async fn append(pool: &PgPool, partition: u32, lines: &[AgentOutput]) -> Result<(), Error> {
    sqlx::query(APPEND)
        .bind(column(partition))
        .bind(lines.iter().map(|line| line.project_id.0).collect::<Vec<Uuid>>())
        .bind(lines.iter().map(|line| line.task_id.0).collect::<Vec<Uuid>>())
        .bind(lines.iter().map(|line| line.run_id.0).collect::<Vec<Uuid>>())
        .bind(lines.iter().map(|line| line.line_number.cast_signed()).collect::<Vec<i64>>())
        .bind(lines.iter().map(|line| line.timestamp.as_micros()).collect::<Vec<i64>>())
        .bind(lines.iter().map(|line| line.stream.as_str()).collect::<Vec<&str>>())
        .bind(lines.iter().map(|line| line.content.as_bytes()).collect::<Vec<&[u8]>>())
        .execute(pool)
        .await
        .map(drop)
        .map_err(repeatable("agent_output"))
}

pub(super) async fn read(
    pool: &PgPool,
    partition: u32,
    from: LogOffset,
    max: usize,
) -> Result<Vec<OutputRecord>, Error> {
    let rows = sqlx::query(
        "SELECT log_offset, project_id, task_id, run_id, line_number, timestamp_micros, stream, content
         FROM muster_log.agent_output WHERE partition = $1 AND log_offset >= $2 ORDER BY log_offset LIMIT $3",
    )
    .bind(column(partition))
    .bind(from.0)
    .bind(i64::try_from(max).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(repeatable("agent_output"))?;
    rows.iter().map(|row| line(partition, row).map_err(repeatable("agent_output"))).collect()
}

fn line(partition: u32, row: &sqlx::postgres::PgRow) -> Result<OutputRecord, sqlx::Error> {
    let stream: String = row.try_get("stream")?;
    let content: Vec<u8> = row.try_get("content")?;
    Ok(OutputRecord {
        partition,
        offset: LogOffset(row.try_get("log_offset")?),
        line: AgentOutput {
            project_id: ProjectId(row.try_get("project_id")?),
            task_id: TaskId(row.try_get("task_id")?),
            run_id: RunId(row.try_get("run_id")?),
            line_number: row.try_get::<i64, _>("line_number")?.cast_unsigned(),
            timestamp: Timestamp::from_micros(row.try_get("timestamp_micros")?),
            stream: stream.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            content: String::from_utf8_lossy(&content).into_owned(),
        },
    })
}

/// `text` as Postgres takes it: without NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) async fn dead_letter(pool: &PgPool, letter: DeadLetter) -> Result<(), Error> {
    let headers: Vec<_> = letter.headers.iter().map(|(name, value)| (storable(name), storable(value))).collect();
    sqlx::query(
        "INSERT INTO muster_log.dead_letters
            (partition, log_offset, consumer, error, attempts, failed_at_micros, event_type, project_id, value, headers)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(column(letter.partition))
    .bind(letter.offset.0)
    .bind(letter.consumer)
    .bind(storable(&letter.error))
    .bind(letter.attempts.cast_signed())
    .bind(letter.failed_at.as_micros())
    .bind(letter.event_type.as_deref().map(storable))
    .bind(letter.project_id.map(|project| project.0))
    .bind(&letter.value[..])
    .bind(sqlx::types::Json(headers))
    .execute(pool)
    .await
    .map(drop)
    .map_err(repeatable("dead_letters"))
}
