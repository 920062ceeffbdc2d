//! Keeping the lease alive while a run works, and stopping the run once it is not.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::control::{Error, Reporter};
use crate::stop::{Reason, Stop};

/// Beats until dropped.
#[derive(Debug)]
pub(super) struct Beating(JoinHandle<()>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Renews the lease every `interval`. When it is lost, or was not renewed for its whole length, asks the run to stop:
/// nobody else may be given the work while we still do it.
pub(super) fn start(reporter: Reporter, interval: Duration, lease_ms: u64, stop: Stop) -> Beating {
    let lease = Duration::from_millis(lease_ms);
    Beating(tokio::spawn(async move {
        let mut ends = Instant::now() + lease;
        loop {
            tokio::time::sleep(interval).await;
            let asked_at = Instant::now();
            let renewed = tokio::time::timeout_at(ends, reporter.renew()).await;
            let reason = match renewed {
                Ok(Ok(())) => {
                    ends = asked_at + lease;
                    continue;
                }
                Ok(Err(Error::Unavailable(reason))) => {
                    tracing::warn!(%reason, "a heartbeat was not answered");
                    if Instant::now() < ends {
                        continue;
                    }
                    reason
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it could not be renewed in time".to_owned(),
            };
            tracing::warn!(run_id = %reporter.lease().run_id, %reason, "a run lost its lease and is stopped");
            stop.ask(Reason::LeaseLost(reason));
            return;
        }
    }))
}
