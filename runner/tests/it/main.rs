//! The runner with real repositories and real processes, against a control plane that keeps the domain's own rules.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is told")]

mod support;

mod coder;
mod faults;
mod git;
mod hidden;
mod leftovers;
mod pipeline;
mod sandbox;
