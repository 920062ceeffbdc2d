//! Dead letters: records that could not be read or applied, and the projects that wait behind them.
//!
//! A dead letter parks its project's later events for this projection only; other projects go on. Someone asks for its
//! release, and the projector, which alone reads the log, carries it out. It must never drop a record silently.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, TaskId};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::batch::{Applied, Gaps};
use crate::error::{Doing, Error};
use crate::notify::announce_dead_letters;
use crate::offset::{PROJECTION, lock_offset, move_offset, partition_column};
use crate::store::ReadStore;

/// A record to be set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Poisoned {
    /// Its partition.
    pub partition: u32,
    /// Its place in the partition.
    pub log_offset: i64,
    /// Its project, as far as it could be read. Without one nothing is parked.
    pub project_id: Option<ProjectId>,
    /// Its task, likewise.
    pub task_id: Option<TaskId>,
    /// Its type, likewise.
    pub event_type: Option<String>,
    /// Why it could not be read or applied.
    pub error: String,
    /// Its value as the log holds it.
    pub raw: Vec<u8>,
    /// Its headers.
    pub headers: Value,
}

/// What is to become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Try it again, then go on with what waits behind it.
    Retry,
    /// Leave it out for good, and go on with what waits behind it.
    Discard,
}

/// What became of a record that was to be set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkOutcome {
    /// It is a dead letter now, and its project waits behind it.
    Parked,
    /// Its project waits behind an earlier one; its release will come upon this one.
    Waits,
    /// It was discarded before, in the read model that a rebuild replaces: its project's release is asked for already.
    DiscardedBefore,
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterState {
    /// It waits for someone's decision.
    Parked,
    /// It will be tried again.
    Retrying,
    /// It was tried again and applied.
    Retried,
    /// It will be left out.
    Discarding,
    /// It was left out.
    Discarded,
}

impl DeadLetterState {
    /// The name used on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Retrying => "retrying",
            Self::Retried => "retried",
            Self::Discarding => "discarding",
            Self::Discarded => "discarded",
        }
    }

    fn parse(text: &str) -> Self {
        [Self::Retrying, Self::Retried, Self::Discarding, Self::Discarded]
            .into_iter()
            .find(|state| state.as_str() == text)
            .unwrap_or(Self::Parked)
    }
}

/// A dead letter, to be listed and inspected.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its id.
    pub dead_letter_id: i64,
    /// What was set aside.
    pub record: Poisoned,
    /// Times it was tried.
    pub attempts: u32,
    /// Where it stands.
    pub state: DeadLetterState,
    /// When it was first set aside.
    pub parked_at: DateTime<Utc>,
}

/// A project that waits behind a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The project.
    pub project_id: ProjectId,
    /// Its partition.
    pub partition: u32,
    /// The first record of the project that is not applied.
    pub from_offset: i64,
    /// The dead letter.
    pub dead_letter_id: i64,
    /// The dead letter's place in the partition.
    pub log_offset: i64,
    /// What was asked for, if anything.
    pub release: Option<Release>,
}

#[derive(FromRow)]
struct LetterRow {
    dead_letter_id: i64,
    partition: i32,
    log_offset: i64,
    project_id: Option<Uuid>,
    task_id: Option<Uuid>,
    event_type: Option<String>,
    error: String,
    raw: Vec<u8>,
    headers: Value,
    attempts: i32,
    state: String,
    parked_at: DateTime<Utc>,
}

impl From<LetterRow> for DeadLetter {
    fn from(row: LetterRow) -> Self {
        Self {
            dead_letter_id: row.dead_letter_id,
            record: Poisoned {
                partition: u32::try_from(row.partition).unwrap_or(0),
                log_offset: row.log_offset,
                project_id: row.project_id.map(ProjectId),
                task_id: row.task_id.map(TaskId),
                event_type: row.event_type,
                error: row.error,
                raw: row.raw,
                headers: row.headers,
            },
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            state: DeadLetterState::parse(&row.state),
            parked_at: row.parked_at,
        }
    }
}

impl ReadStore {
    /// Sets a record aside, parks its project behind it, and moves the partition past it: one transaction. A record of
    /// a project that already waits is left to its release: [`ParkOutcome`] says which.
    pub async fn park(&self, poisoned: &Poisoned) -> Result<ParkOutcome, Error> {
        let mut transaction = self.begin().await?;
        let stored = lock_offset(&mut transaction, poisoned.partition).await?;
        let parked = parked_in(&mut transaction, poisoned.partition).await?;
        let is_new = stored <= poisoned.log_offset && poisoned.project_id.is_none_or(|id| !parked.contains(&id));
        let mut outcome = ParkOutcome::Waits;
        if is_new {
            let (id, state) = store_letter(&mut transaction, poisoned).await?;
            outcome = match state {
                DeadLetterState::Parked => ParkOutcome::Parked,
                _ => ParkOutcome::DiscardedBefore,
            };
            if let Some(project_id) = poisoned.project_id {
                sqlx::query(
                    "insert into parked_projects (projection, project_id, partition, from_offset, dead_letter_id)
                     values ($1, $2, $3, $4, $5)",
                )
                .bind(PROJECTION)
                .bind(project_id.0)
                .bind(partition_column(poisoned.partition))
                .bind(poisoned.log_offset)
                .bind(id)
                .execute(&mut *transaction)
                .await
                .doing("parked_projects")?;
            }
            announce_dead_letters(&mut transaction).await?;
        }
        move_offset(&mut transaction, poisoned.partition, poisoned.log_offset + 1).await?;
        transaction.commit().await.doing("parking a record")?;
        Ok(outcome)
    }

    /// Asks for a parked dead letter to be tried again or left out. One without a project has nothing behind it: it can
    /// only be discarded, and is at once.
    pub async fn request_release(&self, dead_letter_id: i64, release: Release) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        let state = match release {
            Release::Retry => DeadLetterState::Retrying,
            Release::Discard => DeadLetterState::Discarding,
        };
        let changed = sqlx::query(
            "update dead_letters set updated_at = now(), state = case when project_id is null then $4 else $2 end
             where dead_letter_id = $1 and state = 'parked' and (project_id is not null or $3)",
        )
        .bind(dead_letter_id)
        .bind(state.as_str())
        .bind(release == Release::Discard)
        .bind(DeadLetterState::Discarded.as_str())
        .execute(&mut *transaction)
        .await
        .doing("dead_letters")?;
        if changed.rows_affected() == 0 {
            return Err(Error::NotParked { dead_letter_id });
        }
        announce_dead_letters(&mut transaction).await?;
        transaction.commit().await.doing("asking for the release of a dead letter")
    }

    /// The projects of a partition that wait, in the order of the log.
    pub async fn parked(&self, partition: u32) -> Result<Vec<Parked>, Error> {
        let rows: Vec<(Uuid, i64, i64, i64, String)> = sqlx::query_as(
            "select p.project_id, p.from_offset, p.dead_letter_id, d.log_offset, d.state
             from parked_projects p join dead_letters d using (dead_letter_id)
             where p.projection = $1 and p.partition = $2 order by p.from_offset",
        )
        .bind(PROJECTION)
        .bind(partition_column(partition))
        .fetch_all(self.pool())
        .await
        .doing("parked_projects")?;
        let parked = rows.into_iter().map(|(project_id, from_offset, dead_letter_id, log_offset, state)| Parked {
            project_id: ProjectId(project_id),
            partition,
            from_offset,
            dead_letter_id,
            log_offset,
            release: match DeadLetterState::parse(&state) {
                DeadLetterState::Retrying => Some(Release::Retry),
                DeadLetterState::Discarding => Some(Release::Discard),
                _ => None,
            },
        });
        Ok(parked.collect())
    }

    /// Applies records of a parked project up to `from_offset`, in one transaction. Once that reaches what the partition
    /// has applied, the project no longer waits. Returns what was applied, and whether the release is finished.
    pub async fn apply_released(
        &self,
        parked: &Parked,
        records: &[Arc<Event>],
        from_offset: i64,
        gaps: Gaps,
    ) -> Result<(Applied, bool), Error> {
        let mut transaction = self.begin().await?;
        let stored = lock_offset(&mut transaction, parked.partition).await?;
        let events: Vec<&Event> = records.iter().map(AsRef::as_ref).collect();
        let applied = self.write(&mut transaction, &events, gaps).await?;
        let finished = from_offset >= stored;
        if finished {
            sqlx::query("delete from parked_projects where projection = $1 and project_id = $2")
                .bind(PROJECTION)
                .bind(parked.project_id.0)
                .execute(&mut *transaction)
                .await
                .doing("parked_projects")?;
            finish_letter(&mut transaction, parked.dead_letter_id).await?;
            announce_dead_letters(&mut transaction).await?;
        } else {
            move_parked(&mut transaction, parked, from_offset, parked.dead_letter_id).await?;
        }
        transaction.commit().await.doing("releasing a dead letter")?;
        Ok((applied, finished))
    }

    /// Parks a project again behind a record that failed during its release: the same one, or a later one.
    pub async fn repark(&self, parked: &Parked, poisoned: &Poisoned) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        lock_offset(&mut transaction, parked.partition).await?;
        let (id, _) = store_letter(&mut transaction, poisoned).await?;
        if id != parked.dead_letter_id {
            finish_letter(&mut transaction, parked.dead_letter_id).await?;
        }
        move_parked(&mut transaction, parked, poisoned.log_offset, id).await?;
        announce_dead_letters(&mut transaction).await?;
        transaction.commit().await.doing("parking a record again")
    }

    /// Dead letters, newest first: of one project or of all, at most `limit`, older than `before` where that is given.
    pub async fn dead_letters(
        &self,
        project_id: Option<ProjectId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error> {
        let rows: Vec<LetterRow> = sqlx::query_as(
            "select * from dead_letters
             where projection = $1 and ($2::uuid is null or project_id = $2)
               and ($3::bigint is null or dead_letter_id < $3)
             order by dead_letter_id desc limit $4",
        )
        .bind(PROJECTION)
        .bind(project_id.map(|id| id.0))
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await
        .doing("dead_letters")?;
        Ok(rows.into_iter().map(DeadLetter::from).collect())
    }

    /// One dead letter; none where there is no such id.
    pub async fn dead_letter(&self, dead_letter_id: i64) -> Result<Option<DeadLetter>, Error> {
        let row: Option<LetterRow> = sqlx::query_as("select * from dead_letters where dead_letter_id = $1")
            .bind(dead_letter_id)
            .fetch_optional(self.pool())
            .await
            .doing("dead_letters")?;
        Ok(row.map(DeadLetter::from))
    }
}

/// The projects of a partition whose events wait.
pub(crate) async fn parked_in(connection: &mut PgConnection, partition: u32) -> Result<BTreeSet<ProjectId>, Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select project_id from parked_projects where projection = $1 and partition = $2")
            .bind(PROJECTION)
            .bind(partition_column(partition))
            .fetch_all(connection)
            .await
            .doing("parked_projects")?;
    Ok(ids.into_iter().map(ProjectId).collect())
}

/// Stores a letter, or counts one more attempt of the one that is there. One that was discarded is to be discarded again.
/// Returns its id and state.
async fn store_letter(connection: &mut PgConnection, poisoned: &Poisoned) -> Result<(i64, DeadLetterState), Error> {
    let (id, state): (i64, String) = sqlx::query_as(
        "insert into dead_letters (projection, partition, log_offset, project_id, task_id, event_type, error, raw,
             headers, attempts, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, 'parked')
         on conflict (projection, partition, log_offset) do update set
             error = excluded.error, attempts = dead_letters.attempts + 1, updated_at = now(),
             state = case when dead_letters.state <> 'discarded' then 'parked'
                          when dead_letters.project_id is null then 'discarded' else 'discarding' end
         returning dead_letter_id, state",
    )
    .bind(PROJECTION)
    .bind(partition_column(poisoned.partition))
    .bind(poisoned.log_offset)
    .bind(poisoned.project_id.map(|id| id.0))
    .bind(poisoned.task_id.map(|id| id.0))
    .bind(poisoned.event_type.as_deref().map(|text| text.replace('\0', "\u{fffd}")))
    .bind(poisoned.error.replace('\0', "\u{fffd}"))
    .bind(&poisoned.raw)
    .bind(&poisoned.headers)
    .fetch_one(connection)
    .await
    .doing("dead_letters")?;
    Ok((id, DeadLetterState::parse(&state)))
}

async fn finish_letter(connection: &mut PgConnection, dead_letter_id: i64) -> Result<(), Error> {
    sqlx::query(
        "update dead_letters set updated_at = now(),
             state = case state when 'discarding' then 'discarded' when 'retrying' then 'retried' else state end
         where dead_letter_id = $1",
    )
    .bind(dead_letter_id)
    .execute(connection)
    .await
    .doing("dead_letters")?;
    Ok(())
}

async fn move_parked(
    connection: &mut PgConnection,
    parked: &Parked,
    from_offset: i64,
    dead_letter_id: i64,
) -> Result<(), Error> {
    sqlx::query(
        "update parked_projects set from_offset = $3, dead_letter_id = $4 where projection = $1 and project_id = $2",
    )
    .bind(PROJECTION)
    .bind(parked.project_id.0)
    .bind(from_offset)
    .bind(dead_letter_id)
    .execute(connection)
    .await
    .doing("parked_projects")?;
    Ok(())
}
