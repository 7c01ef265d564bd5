//! A world in one process to test the protocol core in.
//!
//! [`fuzz`] holds the bodies of the fuzz targets; [`sim`] the deterministic simulation.

pub mod fuzz;
pub mod sim;
