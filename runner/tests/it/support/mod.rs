//! What the tests stand on.

mod plane;
mod repository;
mod world;

pub use plane::Plane;
pub use repository::TestRepository;
pub use world::{World, check, coder_script, marked_processes, settings};
