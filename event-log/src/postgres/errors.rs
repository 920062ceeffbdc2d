//! From SQL errors to the log's. It must never call an outcome known that is not.

use std::time::Duration;

use crate::Error;

/// `error` with the constraint and SQLSTATE it names.
fn describe(table: &str, error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => format!(
            "table muster_log.{table}, constraint {}: {} (SQLSTATE {})",
            database.constraint().unwrap_or("none"),
            database.message(),
            database.code().unwrap_or_default(),
        ),
        None => format!("table muster_log.{table}: {error}"),
    }
}

/// An error of a read, or of a write that may be repeated.
pub(super) fn repeatable(table: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| Error::Unavailable { reason: describe(table, &error) }
}

/// An error of making a connection: one that will not pass says that the configuration is wrong.
pub(super) fn of_connection(error: &sqlx::Error) -> Error {
    let reason = format!("the log's database: {error}");
    if will_pass(error) { Error::Unavailable { reason } } else { Error::Config { reason } }
}

/// Whether the database may do later what it did not do now.
pub(super) fn will_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => false,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // 28: not let in, 3D: no such database, 42: no such thing, or no right to it.
            !["28", "3D", "42"].iter().any(|class| code.starts_with(class))
        }
        _ => true,
    }
}

/// `work` on a table, for so long at most: a server that cannot be reached says nothing at all.
pub(super) async fn within<T>(
    timeout: Duration,
    table: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let reason = format!("table muster_log.{table}: no answer within {} ms", timeout.as_millis());
        Err(Error::Unavailable { reason })
    })
}

/// An error of the statement that appends events to `partition`.
pub(super) fn of_append(partition: u32, error: &sqlx::Error) -> Error {
    let reason = describe("events", error);
    let Some(database) = error.as_database_error() else {
        return Error::Indeterminate { partition, reason };
    };
    match database.code().as_deref().unwrap_or_default() {
        // The server is going down: it may have committed before it said so.
        code if code.starts_with("57P") => Error::Indeterminate { partition, reason },
        "23505" => Error::Refused { partition, reason },
        // Postgres said no, so it rolled the statement back.
        _ => Error::Unavailable { reason },
    }
}
