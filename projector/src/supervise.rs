//! Keeps a part running: an error or a panic is logged, waited out with back-off, and the part starts again.
//! It must never give up, and never take another part down.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;

const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// A part that ran this long was well; its next failure starts at the shortest back-off.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Runs what `start` makes, again and again, until `shutdown`.
pub(crate) async fn supervise<F, Fut>(part: String, shutdown: CancellationToken, start: F)
where
    F: Fn(CancellationToken) -> Fut + Send,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut back_off = BACK_OFF_MIN;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        // A task of its own, so that a panic ends it and nothing else; gone when this is dropped.
        match AbortOnDropHandle::new(tokio::spawn(start(shutdown.clone()))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(part, %error, back_off_ms = millis(back_off), "stopped; starting again"),
            Err(error) => tracing::error!(part, %error, back_off_ms = millis(back_off), "panicked; starting again"),
        }
        if started.elapsed() > WELL_AFTER {
            back_off = BACK_OFF_MIN;
        }
        metrics::counter!("muster_projector_restarts_total", "part" => part.clone()).increment(1);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(back_off) => back_off = (back_off * 2).min(BACK_OFF_MAX),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
