//! muster-runner.
