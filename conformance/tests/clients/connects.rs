//! Defects of `connect`, and of what follows a refusal.

use openclaw_conformance::object;

use crate::proxy::Change::{Hears, Pride, Says};
use crate::proxy::{is, set, unset};
use crate::{Mutant, mutant};

pub(crate) const MUTANTS: &[Mutant] = &[
    mutant(
        "connects twice",
        Says(|_, value| {
            if is(&value, "connect") {
                let again = value.clone().with("id", "again");
                return vec![value, again];
            }
            vec![value]
        }),
        &["HSK-101/throughout"],
    ),
    mutant(
        "offers an impossible range",
        Says(|_, value| {
            if !is(&value, "connect") {
                return vec![value];
            }
            let value = set(value, "params.minProtocol", 9);
            vec![set(value, "params.maxProtocol", 4)]
        }),
        &["HSK-102/versions"],
    ),
    // Breaks nothing where version 4 is spoken.
    mutant(
        "offers version 4 only",
        Says(|_, value| {
            vec![if is(&value, "connect") {
                set(value, "params.minProtocol", 4)
            } else {
                value
            }]
        }),
        &[],
    ),
    mutant(
        "is a robot",
        Says(|_, value| vec![set(value, "params.client.mode", "robot")]),
        &["HSK-103/client"],
    ),
    mutant(
        "takes the token for a password",
        Says(|_, value| {
            let token = value.at("params.auth.token").cloned();
            vec![match token {
                Some(token) => set(value, "params.auth", object! {"password": token}),
                None => value,
            }]
        }),
        &["HSK-104/token"],
    ),
    mutant(
        "signs another challenge",
        Says(|_, value| {
            let device = object! {
                "id": "d", "publicKey": "k", "signature": "s", "signedAt": 1, "nonce": "an old one",
            };
            vec![if is(&value, "connect") {
                set(value, "params.device", device)
            } else {
                value
            }]
        }),
        &["HSK-105/nonce"],
    ),
    mutant(
        "asks before hello",
        Says(|_, value| {
            if is(&value, "connect") {
                let early = object! {"type": "req", "id": "early", "method": "last-heartbeat"};
                return vec![value, early];
            }
            vec![value]
        }),
        &["HSK-106/throughout"],
    ),
    mutant(
        "never says that it failed",
        Pride,
        &[
            "HSK-107/told",
            "REQ-102/told",
            "REQ-103/told",
            "REQ-105/fails",
            "RUN-104/told",
            "TRN-108*",
            "TRN-109/text",
        ],
    ),
    mutant(
        "presents a wrong token again and again",
        Hears(|_, value| {
            let refused = value.text("error.details.code") == Some("AUTH_TOKEN_MISMATCH");
            vec![if refused {
                set(value, "error", later())
            } else {
                value
            }]
        }),
        &["HSK-108/once"],
    ),
    mutant(
        "offers a wrong version again and again",
        Hears(|_, value| {
            let refused = value.text("error.details.code") == Some("PROTOCOL_MISMATCH");
            vec![if refused {
                set(value, "error", later())
            } else {
                value
            }]
        }),
        &["HSK-109/once"],
    ),
    mutant(
        "takes a start for a refusal",
        Hears(|_, value| {
            let starts = value.text("error.details.reason") == Some("startup-sidecars");
            let error = object! {"code": "INVALID_REQUEST", "message": "no"};
            vec![if starts {
                set(value, "error", error)
            } else {
                value
            }]
        }),
        &["HSK-110*"],
    ),
    mutant(
        "does not wait for a start",
        Hears(|_, value| {
            let starts = value.text("error.details.reason") == Some("startup-sidecars");
            vec![if starts {
                unset(value, "error.retryAfterMs")
            } else {
                value
            }]
        }),
        &["HSK-110/sooner"],
    ),
];

fn later() -> openclaw_conformance::json::Value {
    object! {"code": "UNAVAILABLE", "message": "later", "retryable": true}
}
