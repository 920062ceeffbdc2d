//! What can be measured. Each scenario is told where its servers are; it starts none, except the product
//! itself where that is a program.

pub mod append_kafka;
pub mod append_postgres;
pub mod project;

pub mod commands;
pub mod end_to_end;
pub mod takeover;
