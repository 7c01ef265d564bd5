//! What the application holds while something is undecided or unanswered.

use core::fmt;

/// Names one connection of one gateway; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A `connect` that waits to be admitted or refused.
///
/// It cannot be copied, so a connection is decided once.
///
/// ```compile_fail,E0382
/// # use openclaw_protocol_core::hub::Hub;
/// # use openclaw_protocol_core::server::Applicant;
/// # use openclaw_protocol_core::error_shape::ErrorShape;
/// # use openclaw_protocol_core::time::Now;
/// fn refuse_twice(hub: &mut Hub, applicant: Applicant, error: ErrorShape, now: Now) {
///     let _ = hub.refuse(applicant, error.clone(), now);
///     let _ = hub.refuse(applicant, error, now);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a connection waits until it is admitted or refused"]
pub struct Applicant {
    pub(crate) conn: ConnId,
}

impl Applicant {
    /// The connection that waits.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }
}

/// A request that waits for its answer.
///
/// It cannot be copied, so a request is answered once.
///
/// ```compile_fail,E0382
/// # use openclaw_protocol_core::hub::Hub;
/// # use openclaw_protocol_core::server::Call;
/// # use openclaw_protocol_core::frame::outgoing::Outcome;
/// # use openclaw_protocol_core::time::Now;
/// fn answer_twice(hub: &mut Hub, call: Call, outcome: Outcome, now: Now) {
///     hub.reply(call, outcome.clone(), now);
///     hub.reply(call, outcome, now);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request waits until it is answered"]
pub struct Call {
    pub(crate) conn: ConnId,
    pub(crate) serial: u64,
}

impl Call {
    /// The connection that the request came in on.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }
}

/// A call of this crate's API that its caller must not make; the machine is unchanged and the
/// token comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Misuse<T> {
    /// The token that was passed in.
    pub token: T,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a call of this crate's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong {
    /// The token belongs to another connection.
    Elsewhere,
    /// The connection is not in the state that the call is for.
    State,
}

impl<T> fmt::Display for Misuse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.wrong {
            Wrong::Elsewhere => "the token belongs to another connection",
            Wrong::State => "the connection is not in the state that this call is for",
        })
    }
}

impl<T: fmt::Debug> core::error::Error for Misuse<T> {}
