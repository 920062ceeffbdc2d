//! Log in, rows out: reads every partition of the log and writes the read model, one transaction per batch.
//!
//! Knows the log and the read store only by their interfaces. It must never serve a query, decide anything, or let one
//! project's bad record hold up another project.

mod backlog;
mod collect;
mod counters;
mod error;
mod output;
mod partition;
mod poison;
mod rebuild;
mod release;
mod retention;
mod settings;
mod supervise;

use std::sync::Arc;
use std::time::Duration;

use muster_event_log::EventLog;
use muster_read_store::ReadStore;
use muster_service_kit::Readiness;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use rebuild::rebuild;
pub use settings::Settings;

use backlog::Backlog;
use partition::Partition;
use release::ReleaseBell;
use supervise::supervise;

/// Wait between questions for the read model's version.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What every part of a projector shares.
#[derive(Clone)]
struct Context {
    log: Arc<dyn EventLog>,
    store: ReadStore,
    settings: Settings,
    bell: ReleaseBell,
    backlog: Backlog,
    /// Held by the one partition that takes a record with care.
    careful: Arc<Mutex<()>>,
}

impl Context {
    fn new(log: Arc<dyn EventLog>, store: ReadStore, settings: Settings, backlog: Backlog) -> Self {
        Self { log, store, settings, bell: ReleaseBell::default(), backlog, careful: Arc::default() }
    }
}

/// Projects the log into the read store until `shutdown`. Adds the check `projector` to `readiness`, at once and not only
/// when the future is first polled; it passes when every partition has caught up with the log. A lost log or store is
/// waited for with back-off; the only errors are those that waiting cannot mend.
pub fn run(
    log: Arc<dyn EventLog>,
    store: ReadStore,
    settings: Settings,
    readiness: &Readiness,
    shutdown: CancellationToken,
) -> impl Future<Output = Result<(), Error>> + Send + use<> {
    let backlog = Backlog::new(log.partition_count(), readiness.flag("projector"));
    project(Context::new(log, store, settings, backlog), shutdown)
}

async fn project(context: Context, shutdown: CancellationToken) -> Result<(), Error> {
    while let Err(error) = check_version(&context.store).await {
        match error {
            Error::Store(error) if error.may_pass() => {
                tracing::warn!(%error, "the read model's version is not known yet");
            }
            error => return Err(error),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(ASK_AGAIN)).await.is_none() {
            return Ok(());
        }
    }
    let mut tasks = spawn_partitions(&context, &shutdown);
    let (log, store, settings) = (context.log.clone(), context.store.clone(), context.settings);
    tasks.spawn(supervise("agent output".to_owned(), shutdown.clone(), move |stop| {
        output::run(log.clone(), store.clone(), settings, stop)
    }));
    let store = context.store.clone();
    tasks.spawn(supervise("retention".to_owned(), shutdown.clone(), move |stop| retention::run(store.clone(), stop)));
    tasks.spawn(supervise("releases".to_owned(), shutdown, move |stop| {
        context.bell.clone().listen(context.store.clone(), stop)
    }));
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Starts the projection of every partition.
fn spawn_partitions(context: &Context, shutdown: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for partition in 0..context.log.partition_count() {
        let context = context.clone();
        tasks.spawn(supervise(format!("partition {partition}"), shutdown.clone(), move |stop| {
            Partition::new(context.clone(), partition).run(stop)
        }));
    }
    tasks
}

/// Rows of another version must not be mixed with this build's.
async fn check_version(store: &ReadStore) -> Result<(), Error> {
    match store.stored_version().await? {
        Some(stored) if stored != muster_read_store::VERSION => {
            Err(Error::Version { stored, current: muster_read_store::VERSION })
        }
        _ => Ok(()),
    }
}
