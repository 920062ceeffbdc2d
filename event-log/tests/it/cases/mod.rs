//! The cases, by what they look at.

pub mod content;
pub mod membership;
pub mod output;
pub mod reading;
pub mod snapshots;
pub mod takeover;
pub mod writing;
