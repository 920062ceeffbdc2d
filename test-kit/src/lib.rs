//! muster-test-kit.
