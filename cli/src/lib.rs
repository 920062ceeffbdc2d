//! muster-cli.
