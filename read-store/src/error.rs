//! What can go wrong with the read store, and how each case is handled.

use muster_domain::id::ProjectId;
use sqlx::migrate::MigrateError;

/// Why the read store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or could not be reached. Retry with back-off unless [`Error::is_data`] says that
    /// the data itself is at fault.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done, with the table's name where there is one.
        doing: &'static str,
        /// What the driver says; names the constraint where one was broken.
        #[source]
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date. Not worth a retry: the database is newer or was edited.
    #[error("cannot bring the read store's tables up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row or an event does not serialise. The event is a dead letter.
    #[error("cannot write {table} as rows: {source}")]
    Encode {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A stored row does not read back as its type. Stop: the table was edited by hand or by a later version.
    #[error("cannot read a row of {table}: {source}")]
    Decode {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An event skips positions of its project. The event is a dead letter: the log broke its promise.
    #[error("project {project_id}: expected position {expected}, the log holds {found} next")]
    PositionGap {
        /// The project.
        project_id: ProjectId,
        /// The position that must come next.
        expected: u64,
        /// The position that came.
        found: u64,
    },
    /// A schema name that is not a plain lower-case identifier. A mistake of the caller.
    #[error("{0:?} is no plain lower-case schema name")]
    SchemaName(String),
    /// Another rebuild is under way. Answer 409; wait for it to end.
    #[error("another rebuild of the read model is under way")]
    RebuildRunning,
    /// There is no such dead letter, or it is not in a state that allows what was asked. Answer 404 or 409.
    #[error("dead letter {dead_letter_id} is not parked")]
    NotParked {
        /// Its id.
        dead_letter_id: i64,
    },
}

impl Error {
    /// Whether the event's own data is at fault, so that trying again cannot help.
    pub fn is_data(&self) -> bool {
        match self {
            Self::Database { source: sqlx::Error::Database(error), .. } => {
                // 22: data exception, 23: integrity constraint violation, 54000: a limit of Postgres.
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23") || code == "54000")
            }
            Self::Encode { .. } | Self::PositionGap { .. } => true,
            _ => false,
        }
    }

    /// Of an error of connecting: whether the database may be there later. If not, what is configured is wrong.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Database { source, .. }
            | Self::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
                database_may_return(source)
            }
            _ => false,
        }
    }
}

fn database_may_return(error: &sqlx::Error) -> bool {
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

/// Adds what was being done to a driver's error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Database { doing, source })
    }
}
