//! The `openclaw-conformance` command.

fn main() {}
