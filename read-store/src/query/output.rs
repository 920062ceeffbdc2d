//! Lines that agents wrote.

use chrono::{DateTime, Utc};
use muster_domain::id::{ProjectId, RunId};
use sqlx::FromRow;
use uuid::Uuid;

use super::in_project::columns;
use super::{InProject, Slice};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// A stored line of agent output.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Line {
    pub run_id: Uuid,
    /// From 1, gapless within the run.
    pub line_number: i64,
    pub task_id: Uuid,
    pub written_at: DateTime<Utc>,
    /// `stdout`, `stderr`, `agent` or `system`.
    pub stream: String,
    pub content: String,
}

impl ReadStore {
    /// A run's lines behind `after`, in order, at most `limit`.
    pub async fn output(
        &self,
        project_id: ProjectId,
        run_id: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Slice<Line>, Error> {
        let mut rows: Vec<Line> = sqlx::query_as(
            "select run_id, line_number, task_id, written_at, stream, content from agent_output
             where run_id = $1 and project_id = $4 and line_number > $2 order by line_number limit $3",
        )
        .bind(run_id.0)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::from(limit) + 1)
        .bind(project_id.0)
        .fetch_all(self.pool())
        .await
        .doing("agent_output")?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        Ok(Slice { rows, has_more })
    }

    /// The last stored line of each of these runs; a run without output has no row.
    pub async fn output_ends(&self, runs: &[InProject]) -> Result<Vec<(InProject, u64)>, Error> {
        let (projects, ids) = columns(runs);
        let rows: Vec<(Uuid, Uuid, i64)> = sqlx::query_as(
            "select r.project_id, r.run_id, o.line_number
             from unnest($1::uuid[], $2::uuid[]) as r(project_id, run_id) cross join lateral
             (select line_number from agent_output a where a.run_id = r.run_id and a.project_id = r.project_id
              order by line_number desc limit 1) o",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("agent_output")?;
        let end =
            |(project_id, id, line): (_, _, i64)| (InProject { project_id, id }, u64::try_from(line).unwrap_or(0));
        Ok(rows.into_iter().map(end).collect())
    }
}
