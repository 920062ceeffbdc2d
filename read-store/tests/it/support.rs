//! What the tests share: a store in a fresh database, and the read model as text.

use std::fmt::Write;

use muster_read_store::{LIVE_SCHEMA, ReadStore};
use muster_test_kit::fresh_database;

/// The tables that a rebuild must make again, byte by byte.
pub(crate) const TABLES: &[&str] = &[
    "project_positions",
    "projects",
    "project_members",
    "tasks",
    "task_dependencies",
    "subtasks",
    "runs",
    "iterations",
    "sessions",
    "artifacts",
    "questions",
    "workspace_snapshots",
    "file_changes",
    "event_history",
];

/// A store in a database of its own.
pub(crate) async fn fresh_store() -> ReadStore {
    ReadStore::connect(&fresh_database("read-store").await, 4).await.expect("a fresh database takes the migrations")
}

/// Every row of the read model, in a fixed order, as text.
pub(crate) async fn dump(store: &ReadStore) -> String {
    let mut dump = String::new();
    for table in TABLES {
        let sql = format!("select to_jsonb(t)::text from {}.{table} t order by 1", store.schema());
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(store.pool()).await.expect("every table reads");
        writeln!(dump, "== {table}\n{}", rows.join("\n")).expect("a String takes all");
    }
    dump
}

/// One value of the live schema.
pub(crate) async fn scalar<T>(store: &ReadStore, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    assert_eq!(store.schema(), LIVE_SCHEMA);
    sqlx::query_scalar(sql).fetch_one(store.pool()).await.expect("the query reads one value")
}
