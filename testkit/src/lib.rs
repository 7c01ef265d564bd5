//! A world in one process to test the protocol core in.
//!
//! [`fuzz`] holds the bodies of the fuzz targets; [`sim`] the deterministic simulation; [`transcript`] replays
//! conversations that were written down.

pub mod fuzz;
pub mod sim;
pub mod transcript;
