//! Fault campaigns: load under faults, and what everyone saw of it.

pub mod history;
