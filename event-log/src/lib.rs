//! muster-event-log.
