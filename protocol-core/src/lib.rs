#![no_std]
#![forbid(unsafe_code)]
//! core

extern crate alloc;

pub mod device;
