//! Who is let in.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::hello::ok::Grant;
use openclaw_protocol_core::time::Now;

/// The secret that seeds and the dictionary know.
const SECRET: &str = "test-token";

/// What became of an applicant.
pub(super) enum Decision {
    Admit(Grant),
    Refuse(ErrorShape),
}

/// Decides as the shipped gateway does, and checks that nobody comes in without the secret.
#[cfg(feature = "application")]
pub(super) fn decide(params: &ConnectParams, now: Now) -> Decision {
    use core::net::{IpAddr, Ipv4Addr};

    use openclaw_gateway_service::admission::origin::Origins;
    use openclaw_gateway_service::admission::users::Users;
    use openclaw_gateway_service::admission::{Admission, Verdict, refused_device};
    use openclaw_gateway_service::device::{DeviceClaim, verify};
    use openclaw_gateway_service::identity::Identity;
    use openclaw_gateway_service::pairing::{Chance, Contents, Pairings};
    use openclaw_gateway_service::secret::resolve::SecretKind;
    use openclaw_gateway_service::secret::{Secret, SharedSecret};
    use openclaw_gateway_service::throttle::RateLimit;
    use openclaw_protocol_core::device::DevicePayload;
    use openclaw_protocol_core::hub::Peer;

    let secret = Secret::new(SECRET).map(|secret| SharedSecret::new(&secret));
    let door = Admission {
        secret: secret.map(|secret| (SecretKind::Token, secret)),
        origins: Origins::new(18_789, &[]),
        rate_limit: RateLimit::default(),
        users: Users::default(),
    };
    let key = Identity::from_seed(&[1; 32]).token_key();
    let pairings = Pairings::new(Contents::default(), key);
    let peer = Peer {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        direct_loopback: true,
        origin: None,
        claims: None,
    };
    let presented = [&params.auth.token, &params.auth.password];
    let knows = presented
        .into_iter()
        .any(|presented| presented.as_deref() == Some(SECRET));
    let decision = match door.judge(params, &peer, None, &pairings, now.unix_ms) {
        Verdict::Admit(grant) => Decision::Admit(grant),
        Verdict::Refuse(error) | Verdict::WrongSecret(error) => Decision::Refuse(error),
        Verdict::Identify => unreachable!("no directory has a say"),
        Verdict::Prove(shared) => {
            let device = params.device.as_ref().expect("what it is to prove");
            let proof = verify(&DeviceClaim {
                payload: DevicePayload {
                    device_id: &device.id,
                    client_id: &params.client.id,
                    client_mode: &params.client.mode,
                    role: &params.role,
                    scopes: &params.scopes,
                    signed_at_ms: device.signed_at_ms,
                    token: params.auth.signed(),
                    nonce: &device.nonce,
                    platform: Some(&params.client.platform),
                    device_family: params.client.device_family.as_deref(),
                },
                public_key: &device.public_key,
                signature: &device.signature,
                challenge: super::judge::NONCE,
                now_ms: now.unix_ms,
            });
            if let Err(fault) = proof {
                return Decision::Refuse(refused_device(fault));
            }
            let trusted = door.trusts(params, &peer, shared);
            let known = || {
                door.knock(
                    params,
                    &peer,
                    shared,
                    &pairings,
                    &Chance::none(),
                    now.unix_ms,
                )
                .outcome
            };
            match trusted.map_or_else(known, Ok) {
                Ok(grant) => Decision::Admit(grant),
                Err(error) => Decision::Refuse(error),
            }
        }
    };
    if let Decision::Admit(grant) = &decision {
        assert!(knows, "it came in without the secret");
        assert!(
            grant
                .scopes
                .names()
                .all(|scope| params.scopes.iter().any(|asked| asked == scope)),
            "it was granted more than it asked for"
        );
    }
    decision
}

/// Decides by the token alone.
#[cfg(not(feature = "application"))]
pub(super) fn decide(params: &ConnectParams, _: Now) -> Decision {
    if params.auth.token.as_deref() == Some(SECRET) {
        Decision::Admit(super::conversation::granted(params))
    } else {
        Decision::Refuse(ErrorShape::invalid_request("unauthorized"))
    }
}
