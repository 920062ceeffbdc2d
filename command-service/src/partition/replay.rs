//! Bringing the ledger up to the end of the log. It must never write to the log, and never decide.

use std::collections::HashSet;
use std::sync::Arc;

use muster_domain::id::ProjectId;
use muster_event_log::{Error, EventLog, LogOffset, LogRecord};
use parking_lot::RwLock;
use tokio::task::JoinHandle;

use super::archive::fetch;
use super::ledger::Ledger;
use super::snapshot::restore;

/// Records read at once.
const READ_RECORDS: usize = 2000;

/// Reads what the ledger does not know yet. Adds the projects it touched to `touched`.
///
/// To be called while nobody else can write: then the last record ends its command.
pub(super) async fn catch_up(
    log: &Arc<dyn EventLog>,
    partition: u32,
    ledger: &RwLock<Ledger>,
    touched: &mut HashSet<ProjectId>,
) -> Result<(), Error> {
    restore(log.as_ref(), partition, ledger).await?;
    let from = ledger.read().next();
    let mut records = log.read(partition, from, READ_RECORDS).await?;
    while let Some(last) = records.last() {
        // The next records are fetched and decoded while these are applied.
        let ahead = read_ahead(log, partition, last.offset.next());
        let absent = ledger.read().absent_in(&records);
        for absent in absent {
            let task = fetch(log.as_ref(), partition, absent).await?;
            ledger.write().put_back(&task);
        }
        take_in(&mut ledger.write(), records, touched);
        records = ahead.await.map_err(|error| Error::Unavailable { reason: error.to_string() })??;
    }
    ledger.write().close();
    Ok(())
}

fn take_in(ledger: &mut Ledger, records: Vec<LogRecord>, touched: &mut HashSet<ProjectId>) {
    let mut projects = HashSet::new();
    for record in records {
        ledger.read(record, &mut projects);
    }
    for project_id in projects {
        touched.insert(project_id);
        ledger.set_aside(project_id, |_| true);
    }
}

fn read_ahead(log: &Arc<dyn EventLog>, partition: u32, from: LogOffset) -> JoinHandle<Result<Vec<LogRecord>, Error>> {
    let log = Arc::clone(log);
    tokio::spawn(async move { log.read(partition, from, READ_RECORDS).await })
}
