//! What can go wrong with a projection.

/// Why a projection stopped. Each variant says whether starting again helps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The read store. Retried with back-off.
    #[error("read store: {0}")]
    Store(#[from] muster_read_store::Error),
    /// The log. Retried with back-off, from the stored offset.
    #[error("log: {0}")]
    Log(#[from] muster_event_log::Error),
    /// The log ended a subscription without an error. Retried at once.
    #[error("the log ended the subscription")]
    Ended,
    /// The rows were written by another version of the projection. Stop: a rebuild is needed.
    #[error("the read model is of version {stored} and this build writes version {current}: run `projector rebuild`")]
    Version {
        /// The rows' version.
        stored: i32,
        /// This build's version.
        current: i32,
    },
}
