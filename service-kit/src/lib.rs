//! muster-service-kit.
