//! The `openclaw` command.
fn main() {}
