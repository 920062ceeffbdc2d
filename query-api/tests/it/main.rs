//! The query service over real Postgres. Rows come from events that the domain decided, applied as the projector does.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test where it stands")]

mod support;

mod access;
mod bridge;
mod browser;
mod large_documents;
mod mutations;
mod pages;
mod paging;
mod project_events;
mod queries;
mod sockets;
mod strangers;
mod subscriptions;
