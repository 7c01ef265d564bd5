//! Decisions that were taken, and what is spoken of them.

use openclaw_protocol_core::error_shape::{ErrorShape, code};
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::frame::{Close, close_code};
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::Json;
use openclaw_protocol_core::server::{Applicant, Call, ConnId};
use openclaw_protocol_core::time::Now;

use crate::app::nodes::Newcomer;
use crate::pairing::{Chance, Change, Decision, Notice, Pairings};

/// How long a client is asked to wait after the disk failed.
const RETRY_MS: u64 = 1_000;

/// A decision that has yet to be taken, with what it is about.
pub(in crate::app) type Errand = Box<dyn FnOnce(&Pairings, &Chance, Now) -> Decided + Send>;

/// A decision that was taken.
pub(in crate::app) struct Decided {
    pub(in crate::app) spoken: Spoken,
    pub(in crate::app) changes: Vec<Change>,
    pub(in crate::app) notices: Vec<Notice>,
}

/// What is spoken once a decision lasts.
pub(in crate::app) enum Spoken {
    /// A connection comes in.
    Admit {
        applicant: Applicant,
        grant: Box<Grant>,
        by_token: bool,
        node: Option<Box<Newcomer>>,
    },
    /// A connection does not come in.
    Refuse {
        applicant: Applicant,
        error: ErrorShape,
    },
    /// A request is answered.
    Answer { call: Call, outcome: Outcome },
}

/// What became of the connections of devices.
#[derive(Debug)]
pub(in crate::app) enum News {
    /// A node came in.
    Came {
        conn: ConnId,
        node_id: String,
        newcomer: Box<Newcomer>,
    },
    /// What a node offers was approved, which it is to hear itself.
    Approved {
        node_id: String,
        event: &'static str,
        payload: Json,
    },
    /// What let a device in holds no more.
    Ended(ConnId),
}

impl Decided {
    /// A request that is refused.
    pub(in crate::app) fn refused(call: Call, error: ErrorShape) -> Self {
        Self {
            spoken: Spoken::Answer {
                call,
                outcome: Outcome::failure(error),
            },
            changes: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The same where who asked may not any more.
    pub(super) fn denied(self) -> Self {
        Self {
            spoken: match self.spoken {
                Spoken::Answer { call, .. } => Spoken::Answer {
                    call,
                    outcome: Outcome::failure(ErrorShape::unavailable("closing")),
                },
                other @ (Spoken::Admit { .. } | Spoken::Refuse { .. }) => other,
            },
            changes: Vec::new(),
            notices: Vec::new(),
        }
    }
}

impl Spoken {
    /// What is said where the decision could not be stored.
    pub(super) fn failed(self) -> Self {
        let error = ErrorShape::unavailable(
            "the gateway cannot write its database; see its log, then try again",
        )
        .retryable_after(Some(RETRY_MS));
        match self {
            Self::Admit { applicant, .. } | Self::Refuse { applicant, .. } => {
                Self::Refuse { applicant, error }
            }
            Self::Answer { call, .. } => Self::Answer {
                call,
                outcome: Outcome::failure(error),
            },
        }
    }
}

/// Tells a connection that it does not come in; the close names the request that waits, where there is one.
pub(in crate::app) fn refuse(hub: &mut Hub, applicant: Applicant, error: ErrorShape, now: Now) {
    log::info!(
        "conn={} refused code={} detail={}",
        applicant.conn(),
        error.code,
        error.detail_code().unwrap_or_default()
    );
    let request = (error.code == code::NOT_PAIRED)
        .then(|| error.details.as_ref().and_then(request_id))
        .flatten();
    let _ = match request {
        Some(id) => {
            let reason = format!("{} (requestId: {id})", error.message);
            let close = Close::new(close_code::POLICY, reason);
            hub.refuse_with(applicant, error, close, now)
        }
        None => hub.refuse(applicant, error, now),
    };
}

fn request_id(details: &Json) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Waiting {
        request_id: String,
    }
    let waiting: Waiting = details.read().ok()?;
    Some(waiting.request_id)
}

impl<T> Decision<T> {
    /// Says what its outcome leads to.
    pub(in crate::app) fn spoken(self, speak: impl FnOnce(T) -> Spoken) -> Decided {
        Decided {
            spoken: speak(self.outcome),
            changes: self.changes,
            notices: self.notices,
        }
    }
}

/// The refusal of what would have to wait behind too many decisions.
pub(in crate::app) fn too_much() -> ErrorShape {
    ErrorShape::unavailable("too much is being decided; retry shortly")
        .retryable_after(Some(RETRY_MS))
}
