//! A world to ask about: a fresh database, a domain that decides commands, rows applied at once, and the service on top.

mod browser;
mod server;
mod sse;
mod world;

pub use browser::Browser;
pub use server::{ADMIN, Server, Socket};
pub use sse::Stream;
pub use world::World;
