//! Lines that agents wrote: stored once each, however often the log delivers them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use uuid::Uuid;

use crate::error::{Doing, Error};
use crate::notify::announce_output;
use crate::offset::{PROJECTION, partition_column};
use crate::store::ReadStore;

/// Programs put any time on their lines. What lies outside of the years 1 to 9999, which Postgres would not all take, is
/// stored as the nearest that does not.
const EARLIEST: Timestamp = Timestamp::from_micros(-62_135_596_800_000_000);
const LATEST: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

/// One line of agent output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// The project.
    pub project_id: ProjectId,
    /// The task.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// From 1, gapless within the run.
    pub line_number: u64,
    /// When it was written.
    pub written_at: Timestamp,
    /// `stdout`, `stderr`, `agent` or `system`.
    pub stream: String,
    /// The line without its end. A NUL is stored as U+FFFD.
    pub content: String,
}

impl ReadStore {
    /// Where to go on in each partition of the output topic; a partition without an entry starts at 0.
    pub async fn output_offsets(&self) -> Result<BTreeMap<u32, i64>, Error> {
        let rows: Vec<(i32, i64)> =
            sqlx::query_as("select partition, next_offset from output_offsets where projection = $1")
                .bind(PROJECTION)
                .fetch_all(self.pool())
                .await
                .doing("output_offsets")?;
        Ok(rows.into_iter().filter_map(|(partition, next)| Some((u32::try_from(partition).ok()?, next))).collect())
    }

    /// Stores lines and moves the partitions on, in one transaction. A line that is there already stays as it is.
    /// Returns how many lines were new.
    pub async fn append_output(&self, lines: &[OutputLine], next_offsets: &BTreeMap<u32, i64>) -> Result<u64, Error> {
        let mut transaction = self.begin().await?;
        let stored = if lines.is_empty() {
            0
        } else {
            let content: Vec<_> = lines.iter().map(|line| line.content.replace('\0', "\u{fffd}")).collect();
            let stored = sqlx::query(
                "insert into agent_output (run_id, line_number, project_id, task_id, written_at, stream, content)
                 select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[],
                     $7::text[])
                 on conflict (run_id, project_id, line_number) do nothing",
            )
            .bind(column(lines, |line| line.run_id.0))
            .bind(column(lines, |line| i64::try_from(line.line_number).unwrap_or(i64::MAX)))
            .bind(column(lines, |line| line.project_id.0))
            .bind(column::<Uuid>(lines, |line| line.task_id.0))
            .bind(column::<DateTime<Utc>>(lines, |line| line.written_at.clamp(EARLIEST, LATEST).to_datetime()))
            .bind(column(lines, |line| line.stream.clone()))
            .bind(content)
            .execute(&mut *transaction)
            .await
            .doing("agent_output")?;
            stored.rows_affected()
        };
        for (partition, next_offset) in next_offsets {
            sqlx::query(
                "insert into output_offsets (projection, partition, next_offset) values ($1, $2, $3)
                 on conflict (projection, partition) do update set next_offset = excluded.next_offset
                 where output_offsets.next_offset < excluded.next_offset",
            )
            .bind(PROJECTION)
            .bind(partition_column(*partition))
            .bind(next_offset)
            .execute(&mut *transaction)
            .await
            .doing("output_offsets")?;
        }
        if self.is_live() {
            let mut last = BTreeMap::new();
            for line in lines {
                let end = last.entry((line.project_id, line.run_id)).or_insert(0);
                *end = line.line_number.max(*end);
            }
            let ends = last.into_iter().map(|((project, run), line_number)| (project, run, line_number));
            announce_output(&mut transaction, ends).await?;
        }
        transaction.commit().await.doing("storing agent output")?;
        Ok(stored)
    }

    /// Deletes lines that were written before a point in time, at most `limit` of them. Returns how many.
    pub async fn prune_output(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let pruned = sqlx::query(
            "delete from agent_output where ctid = any(array(
                 select ctid from agent_output where written_at < $1 limit $2))",
        )
        .bind(before.to_datetime())
        .bind(i64::from(limit))
        .execute(self.pool())
        .await
        .doing("agent_output")?;
        Ok(pruned.rows_affected())
    }
}

fn column<T>(lines: &[OutputLine], field: impl Fn(&OutputLine) -> T) -> Vec<T> {
    lines.iter().map(field).collect()
}
