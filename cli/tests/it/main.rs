//! The whole product as its users meet it: the real binary, its real servers, over its public interfaces.

mod support;

mod board;
mod demo;
mod dev;
mod kafka;
mod killed;
mod project;
mod refusals;
