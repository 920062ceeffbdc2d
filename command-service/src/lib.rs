//! muster-command-service.
