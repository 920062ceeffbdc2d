//! The time before a server's end in which it still answers, and sends its callers away one by one.
//!
//! It must never decide when the server ends: it tells how long that may wait.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};
use tokio_util::sync::CancellationToken;

/// The drain of one server. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: CancellationToken,
    over: CancellationToken,
    lasts: Duration,
}

impl Drain {
    /// Lasts so long once there is nothing else to wait for.
    pub fn new(lasts: Duration) -> Self {
        Self(Arc::new(Inner { begun: CancellationToken::new(), over: CancellationToken::new(), lasts }))
    }

    /// From now on every answer closes its connection: who keeps connections leaves before they are cut.
    pub fn begin(&self) {
        self.0.begun.cancel();
    }

    /// Lets the drain time pass, once for all who call. Begins where nobody did.
    pub async fn run(&self) {
        self.begin();
        tokio::select! {
            biased;
            () = self.0.over.cancelled() => {}
            () = tokio::time::sleep(self.0.lasts) => self.end(),
        }
    }

    /// Cuts the drain time short.
    pub fn end(&self) {
        self.0.over.cancel();
    }

    /// Says in an answer that its connection closes, once the drain has begun. An upgraded connection is no longer HTTP's.
    pub(crate) fn mark<B>(&self, response: &mut Response<B>) {
        if self.0.begun.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}
