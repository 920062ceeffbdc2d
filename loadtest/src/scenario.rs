//! What can be measured. Each scenario is told where its servers are; it starts none.

pub mod append_kafka;
pub mod append_postgres;
pub mod project;
