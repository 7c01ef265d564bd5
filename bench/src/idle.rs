//! What a connection costs that does nothing.

use std::io;
use std::time::Duration;

use crate::load::Load;
use crate::target::Target;

/// How long the server may come to rest.
const REST: Duration = Duration::from_secs(3);

/// The resident bytes that each of `connections` adds, and how many there were.
pub(crate) fn bytes_each(target: &Target, connections: usize) -> io::Result<f64> {
    let mut load = Load::new(target, &["operator.read"])?;
    load.open(1)?;
    let before = target.resident()?;
    load.open(1 + connections)?;
    load.rest(REST)?;
    let after = target.resident()?;
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}
