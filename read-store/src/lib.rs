//! The read model in Postgres: its tables, the projection's writes, the queries, and how far each project is applied.
//!
//! Knows SQL and the domain's events. It must never know of the log, of HTTP, or of who may see what.
