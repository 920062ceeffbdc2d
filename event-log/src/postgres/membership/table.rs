//! The tables of members and owners, changed by one member at a time, under one lock.
//!
//! It must never hold that lock longer than a statement takes: the server ends the session of a member that is frozen
//! in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{Connection, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::plan::plan;
use crate::Owners;

/// Key of the advisory lock under which the tables are changed.
const TABLE_LOCK: i64 = 0x6d75_7374_6572 + 1;

/// How long a member may pause in the middle of a change before the server ends its session, at least, in milliseconds:
/// a machine may be busy.
const PAUSE_MIN_MS: u64 = 1_000;

/// And at most, whatever its session timeout is.
const PAUSE_MAX_MS: u64 = 10_000;

/// This member.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub id: Uuid,
    pub url: Arc<str>,
    pub session_timeout_ms: u64,
}

impl Me {
    fn lock_key(&self) -> i64 {
        self.id.as_u64_pair().0.cast_signed()
    }
}

/// What a member learns and has done by one visit to the tables.
#[derive(Debug)]
pub(super) struct View {
    pub owners: Owners,
    /// What this member has, whether it knows already or not.
    pub mine: Vec<u32>,
    /// What it has too many of.
    pub surplus: Vec<u32>,
    /// Whether there are others.
    pub alone: bool,
}

/// Registers `me` and holds its lock from now on.
pub(super) async fn enter(connection: &mut PgConnection, me: &Me) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('idle_in_transaction_session_timeout', $1, false)")
        .bind(me.session_timeout_ms.div_euclid(3).clamp(PAUSE_MIN_MS, PAUSE_MAX_MS).to_string())
        .execute(&mut *connection)
        .await?;
    // Before the row: a row whose lock is free is a dead member's.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(me.lock_key()).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO muster_log.members (member_id, url, lock_key, session_timeout_ms, heartbeat_at)
         VALUES ($1, $2, $3, $4, clock_timestamp())",
    )
    .bind(me.id)
    .bind(&*me.url)
    .bind(me.lock_key())
    .bind(i64::try_from(me.session_timeout_ms).unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await?;
    // Those who have too much now should see it at once.
    super::super::wake::members_changed(connection).await
}

/// One visit: says that this member lives, puts the dead away, frees `released`, and hands out what is free.
/// None when this member was put away itself.
pub(super) async fn visit(
    connection: &mut PgConnection,
    me: &Me,
    partitions: u32,
    released: &[u32],
    leaving: bool,
) -> Result<Option<View>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TABLE_LOCK).execute(&mut *transaction).await?;
    let beat = sqlx::query(
        "UPDATE muster_log.members SET heartbeat_at = clock_timestamp(), leaving = $2 WHERE member_id = $1",
    )
    .bind(me.id)
    .bind(leaving)
    .execute(&mut *transaction)
    .await?;
    if beat.rows_affected() == 0 {
        return Ok(None);
    }
    let mut changed = put_the_dead_away(&mut transaction, me).await?;
    if !released.is_empty() {
        sqlx::query("DELETE FROM muster_log.owners WHERE member_id = $1 AND partition = ANY($2)")
            .bind(me.id)
            .bind(released.iter().map(|partition| super::super::column(*partition)).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
        changed = true;
    }
    let members = members(&mut transaction).await?;
    let mut owners = owners(&mut transaction).await?;
    let staying: Vec<Uuid> = members.iter().filter(|(_, (_, leaving))| !leaving).map(|(id, _)| *id).collect();
    let plan = plan(partitions, &staying, &owners);
    if !plan.give.is_empty() {
        let (numbers, to): (Vec<i32>, Vec<Uuid>) =
            plan.give.iter().map(|(partition, member)| (super::super::column(*partition), *member)).unzip();
        sqlx::query("INSERT INTO muster_log.owners SELECT * FROM UNNEST($1::integer[], $2::uuid[])")
            .bind(numbers)
            .bind(to)
            .execute(&mut *transaction)
            .await?;
        owners.extend(plan.give);
        changed = true;
    }
    let surplus = plan.surplus.get(&me.id).cloned().unwrap_or_default();
    if changed {
        super::super::wake::members_changed(&mut transaction).await?;
    }
    transaction.commit().await?;
    let mine = owners.iter().filter(|(_, owner)| **owner == me.id).map(|(partition, _)| *partition).collect();
    let owners = owners
        .into_iter()
        .filter_map(|(partition, owner)| members.get(&owner).map(|(url, _)| (partition, Arc::clone(url))));
    Ok(Some(View { owners: owners.collect(), mine, surplus, alone: members.len() == 1 }))
}

/// Members whose connection is gone, at once, and those that were silent for too long. Whether there were any.
async fn put_the_dead_away(connection: &mut PgConnection, me: &Me) -> Result<bool, sqlx::Error> {
    let dead = sqlx::query(
        "DELETE FROM muster_log.members
         WHERE member_id <> $1
           AND (heartbeat_at + session_timeout_ms * interval '1 millisecond' < clock_timestamp()
                OR pg_try_advisory_xact_lock(lock_key))
         RETURNING url",
    )
    .bind(me.id)
    .fetch_all(connection)
    .await?;
    for row in &dead {
        tracing::info!(url = row.try_get::<&str, _>("url")?, "an instance is gone; its partitions are handed out");
    }
    Ok(!dead.is_empty())
}

/// Takes `me` off the tables, and hands out what it leaves.
pub(super) async fn remove(connection: &mut PgConnection, me: &Me, partitions: u32) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TABLE_LOCK).execute(&mut *transaction).await?;
    sqlx::query("DELETE FROM muster_log.members WHERE member_id = $1").bind(me.id).execute(&mut *transaction).await?;
    let members = members(&mut transaction).await?;
    let owners = owners(&mut transaction).await?;
    let staying: Vec<Uuid> = members.iter().filter(|(_, (_, leaving))| !leaving).map(|(id, _)| *id).collect();
    for (partition, member) in plan(partitions, &staying, &owners).give {
        sqlx::query("INSERT INTO muster_log.owners (partition, member_id) VALUES ($1, $2)")
            .bind(super::super::column(partition))
            .bind(member)
            .execute(&mut *transaction)
            .await?;
    }
    super::super::wake::members_changed(&mut transaction).await?;
    transaction.commit().await
}

/// Members by id: where each is reached, and whether it is about to leave.
async fn members(connection: &mut PgConnection) -> Result<BTreeMap<Uuid, (Arc<str>, bool)>, sqlx::Error> {
    let rows = sqlx::query("SELECT member_id, url, leaving FROM muster_log.members").fetch_all(connection).await?;
    let member = |row: &sqlx::postgres::PgRow| {
        let url: String = row.try_get("url")?;
        Ok((row.try_get("member_id")?, (url.into(), row.try_get("leaving")?)))
    };
    rows.iter().map(member).collect()
}

async fn owners(connection: &mut PgConnection) -> Result<BTreeMap<u32, Uuid>, sqlx::Error> {
    let rows: Vec<(i32, Uuid)> =
        sqlx::query_as("SELECT partition, member_id FROM muster_log.owners").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(partition, member)| (partition.cast_unsigned(), member)).collect())
}

/// Who owns what now, without changing anything.
pub(super) async fn look(pool: &PgPool) -> Result<Owners, sqlx::Error> {
    let rows: Vec<(i32, String)> =
        sqlx::query_as("SELECT partition, url FROM muster_log.owners JOIN muster_log.members USING (member_id)")
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(|(partition, url)| (partition.cast_unsigned(), url.into())).collect())
}

/// Whether there is a member that is reached elsewhere than at `url`, and is not about to leave.
pub(super) async fn others_stay(pool: &PgPool, url: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM muster_log.members WHERE url <> $1 AND NOT leaving)")
        .bind(url)
        .fetch_one(pool)
        .await
}
