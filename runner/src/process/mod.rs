//! Processes of a session: started apart, watched, and ended with everything they left behind.
//!
//! It must never know what a process is for.

mod launch;
mod pump;
mod spawner;
mod sweep;
mod watch;

pub use launch::{Error, Launch, resolve_program};
pub use pump::{Digest, Sink, pump};
pub use sweep::{MARKER, sweep};
pub use watch::{Activity, Ending, Process, Watch};
