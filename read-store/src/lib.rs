//! muster-read-store.
