//! The live path: who has new rows, told at once, and every event of a project in order from any position.
//!
//! One connection listens for the whole process. Everything it says is only a hint to read: what is given out was
//! committed before (persist before notify). It must never know who may see what, nor how it travels.

mod feed;
mod follow;
mod hub;
mod watermark;

pub use follow::{EventCursor, OutputCursor};
pub use hub::Live;
