//! Each scenario at its smallest, against real servers: what it says has the right shape. Never how fast anything was.

mod support;

mod append;
mod checks;
mod commands;
mod project;

mod end_to_end;
