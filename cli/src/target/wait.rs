//! How long commands wait, as it is typed.

use std::time::Duration;

use crate::failure::Failure;

/// How long a command waits for an answer that says nothing of it.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);

/// Reads the value of `--timeout`, in milliseconds.
pub(crate) fn milliseconds(typed: Option<&str>) -> Result<Duration, Failure> {
    let number = whole(
        typed,
        "milliseconds from 1 to 4294967295, for example 10000",
    )?;
    Ok(number.map_or(REQUEST, |ms| Duration::from_millis(ms.into())))
}

/// Reads the value of `--timeout`, in seconds.
pub(crate) fn seconds(typed: Option<&str>) -> Result<Option<u32>, Failure> {
    whole(typed, "seconds from 1 to 4294967295, for example 600")
}

fn whole(typed: Option<&str>, expected: &str) -> Result<Option<u32>, Failure> {
    let read = |text: &str| {
        // `parse` would take a plus sign too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| *number > 0 && digits);
        number.ok_or_else(|| Failure::usage(format!("Invalid --timeout. Use {expected}.")))
    };
    typed.map(read).transpose()
}
