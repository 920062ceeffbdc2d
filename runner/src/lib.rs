//! The runner: claims work and does it with real processes in isolated git worktrees, reporting each step.
//!
//! It must never decide what work is ready, who may do it or what a finished run leads to: the control plane does.

pub mod settings;
pub mod worker;

pub mod control;
mod service;

pub mod leftovers;
pub mod record;
pub mod run;
pub mod stop;

pub mod agent;
pub mod context;
pub mod environment;
pub mod rehearsal;
pub mod verification;

pub mod git;
pub mod output;
pub mod process;
pub mod sandbox;

pub mod layout;

mod artifacts;
mod files;
mod sys;
mod text;

pub use rehearsal::rehearsal_agent_main;
pub use settings::Settings;
pub use worker::run;
