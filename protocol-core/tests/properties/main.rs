//! What must hold for all inputs and for all sequences of operations.
//!
//! `PROPTEST_CASES` sets how many cases each property is tried with.

#[path = "../support/mod.rs"]
mod support;

mod arbitrary;
mod clients;
mod codec;
mod connections;
mod drain;
mod histories;
mod hubs;
mod queue;
mod world;
