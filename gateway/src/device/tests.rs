use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const SCOPES: &[&str] = &["operator.read", "operator.write", "operator.admin"];
const NODE_SCOPES: &[&str] = &[];

/// One device of one recorded handshake with the reference gateway.
struct Recorded {
    id: &'static str,
    key: &'static str,
    signature: &'static str,
    signed_at_ms: u64,
    nonce: &'static str,
    challenge: &'static str,
    now_ms: u64,
}

impl Recorded {
    fn proof(&self) -> DeviceClaim<'_, &'static str> {
        DeviceClaim {
            payload: DevicePayload {
                device_id: self.id,
                client_id: "cli",
                client_mode: "cli",
                role: "operator",
                scopes: SCOPES,
                signed_at_ms: self.signed_at_ms,
                token: "test-token",
                nonce: self.nonce,
                platform: Some("linux"),
                device_family: None,
            },
            public_key: self.key,
            signature: self.signature,
            challenge: self.challenge,
            now_ms: self.now_ms,
        }
    }
}

const V2: Recorded = Recorded {
    id: "cf9ab90b295e74920319faaca129729c11fc6c1399701f617a7e21fdcb3ab5b7",
    key: "r-CBYmPJo7gREAsp-3rXxy8rwU1xY7B5aEbfTAx_244",
    signature: "ubiywzlyfXQ-77FZSuOWihdHn4Os4qjSEXRuiz5zdey6i2ugH9LVMwEJYLBEGN2YI36t6q2Gg1eA0RGDHVIbDg",
    signed_at_ms: 1_795_215_829_286,
    nonce: "c41bab02-44d9-4d24-8cc7-eec28fb508ed",
    challenge: "c41bab02-44d9-4d24-8cc7-eec28fb508ed",
    now_ms: 1_795_215_829_286,
};

const V3: Recorded = Recorded {
    id: "a14bb543e4cf8125361acd6e5bbcbead17739b21f394064785828bbf62b6a067",
    key: "85W8E1d5XI5mraeVByXhQsG4HRUbYwCvJwLi0QhrhMA",
    signature: "c7LTBDogXwrRaLQr1rCQsFhQDFK9LGYKfByXhKyLC040Swne0qyBrocNQ1PeUxnCKMMVBbM2NVHlw0C47ftiDA",
    signed_at_ms: 1_795_215_828_917,
    nonce: "03020dbc-0f0c-434f-bb2e-0e94cb593ac0",
    challenge: "03020dbc-0f0c-434f-bb2e-0e94cb593ac0",
    now_ms: 1_795_215_828_917,
};

const NINETY_SECONDS_OLD: Recorded = Recorded {
    id: "046943cb99a8ad03986e42594ef75c83ace7cb3862b937e14f31f5291e8a3257",
    key: "lQ1nik-9hhUz8_KLFL5Y_lmDx5Gaqu1vKacDg87GHx0",
    signature: "xidXgDfyBH1mlK9qrfsRObj3Ay-1oVsu0-W7dtn1rNS51umyksAsVlbxd3BN0u2ErZ-2T3rN2aNYKIqGODiADA",
    signed_at_ms: 1_795_215_743_406,
    nonce: "2f853cbb-905b-436b-9050-f349600caa1b",
    challenge: "2f853cbb-905b-436b-9050-f349600caa1b",
    now_ms: 1_795_215_833_406,
};

const KEY: &str = "GAb55a7FZ935AmZFrkbQcjtUOilfPtB62XcRcBQ7xNc";
const ID: &str = "fdc98aa5206fc9476727009c9f6f5c961315b3de428deaecf5632d04594ed76d";

const REFUSED: &[(Recorded, DeviceFault)] = &[
    (
        Recorded {
            id: "0000000000000000000000000000000000000000000000000000000000000000",
            key: KEY,
            signature: "HmBGRTK4LRACy6CqHA3FSOv1M77jSbgSXlL4g7nfetPJhbfR3isAstm9mGwJIwaSuITxuEtoLIDpupwGAJFiBw",
            signed_at_ms: 1_795_215_833_504,
            nonce: "99050f87-2ef4-4110-a3c1-b3f6c8decc85",
            challenge: "99050f87-2ef4-4110-a3c1-b3f6c8decc85",
            now_ms: 1_795_215_833_504,
        },
        DeviceFault::IdMismatch,
    ),
    (
        Recorded {
            id: ID,
            key: "zz",
            signature: "YyZJgOp7SFhLOHtae2QnxEq-z_GZyE1zGSrNkxUdJYuifPRcYD2FeUFTQkP39PPEQaof3I-GfoiaUKTSbjf1CA",
            signed_at_ms: 1_795_215_833_544,
            nonce: "70fae3b7-3d30-40b2-8093-d61e6c9e51df",
            challenge: "70fae3b7-3d30-40b2-8093-d61e6c9e51df",
            now_ms: 1_795_215_833_544,
        },
        DeviceFault::IdMismatch,
    ),
    (
        Recorded {
            id: "f3204f7dea5ad3af3584f7263ed77916c3828fc67010defabc70ced350e97ff4",
            key: "inwc97LI8VhvxZFAPQXMvtQ0NplIeq05SfcI204sItU",
            signature: "wzq08VGH9Y9I27ntV62-tYt7Ce6xdQV6Tb5dUm_ZWuK_sST8HrOUvU8VXi2d_XMX4Sn7_kmEDrRQQ-eZEB0sBA",
            signed_at_ms: 1_795_215_653_362,
            nonce: "6448251e-5b09-4c40-9517-737570086e94",
            challenge: "6448251e-5b09-4c40-9517-737570086e94",
            now_ms: 1_795_215_833_362,
        },
        DeviceFault::Expired,
    ),
    (
        Recorded {
            id: ID,
            key: KEY,
            signature: "LFtfSMDUsbiiytIW_LjpuAUZJ9vlAtUYHgSZI5Y1_7MGF7_WcVjFVLLPD38jwKwaufQVzda5HLZo53ADMAdbAQ",
            signed_at_ms: 1_795_216_013_466,
            nonce: "134d5c82-c3ed-43a5-a40d-6a44b60af8b5",
            challenge: "134d5c82-c3ed-43a5-a40d-6a44b60af8b5",
            now_ms: 1_795_215_833_466,
        },
        DeviceFault::Expired,
    ),
    (
        Recorded {
            id: ID,
            key: KEY,
            signature: "9dobquBNFeJ0jhxeAVo8Xe8jJSyTMfF0t_2nprhtg07RqK-REhAizhd-pjcyE19VzGC-PMzbuVXaByRiNz5IAw",
            signed_at_ms: 1_795_215_833_202,
            nonce: "wrong-nonce",
            challenge: "8487bd6c-2782-43ef-a2ca-4e19e6e51627",
            now_ms: 1_795_215_833_202,
        },
        DeviceFault::NonceMismatch,
    ),
    (
        Recorded {
            id: ID,
            key: KEY,
            signature: "AAAA",
            signed_at_ms: 1_795_215_833_242,
            nonce: "46514bc0-6a3e-4c44-8503-a9519fea3ab6",
            challenge: "46514bc0-6a3e-4c44-8503-a9519fea3ab6",
            now_ms: 1_795_215_833_242,
        },
        DeviceFault::SignatureInvalid,
    ),
    (
        // Signed over another token than the one it sent.
        Recorded {
            id: ID,
            key: KEY,
            signature: "rtORcxGsO5FjrD45APUEAkMw4_PvUyeRy0CT2kDfKNoG1lRWUnJyROqId8tVhpZ86DCoEqGEXVdCTGDW72YqCg",
            signed_at_ms: 1_795_215_833_281,
            nonce: "b16e4663-b4ed-4da0-8b13-1c2bc21445a3",
            challenge: "b16e4663-b4ed-4da0-8b13-1c2bc21445a3",
            now_ms: 1_795_215_833_281,
        },
        DeviceFault::SignatureInvalid,
    ),
];

#[test]
fn devices_that_the_reference_gateway_believed_are_believed() {
    for recorded in [&V2, &V3, &NINETY_SECONDS_OLD] {
        assert_eq!(verify(&recorded.proof()), Ok(()), "{}", recorded.id);
    }
}

#[test]
fn a_recorded_node_with_a_device_family_is_believed() {
    let proof = DeviceClaim {
        payload: DevicePayload {
            device_id: "02efb4b569a676c795b279165c27ea927a32f8e97d35c2e2d086f6090dcf6d4c",
            client_id: "node-host",
            client_mode: "node",
            role: "node",
            scopes: NODE_SCOPES,
            signed_at_ms: 1_795_216_632_571,
            token: "test-token",
            nonce: "11cabe01-f0fe-42c0-9d4c-d8bd16e1d2f7",
            platform: Some("linux"),
            device_family: Some("Linux"),
        },
        public_key: "e2Ty7ettRFv7AP6-RtbGC2T13YlpvM-CKYqygCkn_HU",
        signature: "0etWqRvZ2bJV-Xb1p5s7LKUu1ycDUOUM2oyvus4tReQqDKmE9inpKtEek2X3g-eNfZjMa1mK7zeWESQGZ4b2AA",
        challenge: "11cabe01-f0fe-42c0-9d4c-d8bd16e1d2f7",
        now_ms: 1_795_216_632_571,
    };
    assert_eq!(verify(&proof), Ok(()));
}

#[test]
fn devices_that_the_reference_gateway_refused_are_refused_for_the_same_cause() {
    for (recorded, fault) in REFUSED {
        assert_eq!(verify(&recorded.proof()), Err(*fault), "{}", recorded.nonce);
    }
}

#[test]
fn version_3_binds_the_platform_and_version_2_does_not() {
    let mut proof = V3.proof();
    proof.payload.platform = Some("darwin");
    assert_eq!(verify(&proof), Err(DeviceFault::SignatureInvalid));
    let mut proof = V2.proof();
    proof.payload.platform = Some("darwin");
    assert_eq!(verify(&proof), Ok(()));
}

#[test]
fn every_signed_field_is_bound_by_the_signature() {
    let changes: [fn(&mut DevicePayload<'static, &'static str>); 6] = [
        |payload| payload.client_id = "gateway-client",
        |payload| payload.client_mode = "backend",
        |payload| payload.role = "node",
        |payload| payload.scopes = &SCOPES[..2],
        |payload| payload.signed_at_ms += 1,
        |payload| payload.token = "another-token",
    ];
    for (index, change) in changes.into_iter().enumerate() {
        for recorded in [&V2, &V3] {
            let mut proof = recorded.proof();
            // The borrow of a constant is as long as any.
            let mut payload = DevicePayload {
                device_id: recorded.id,
                nonce: recorded.nonce,
                ..proof.payload
            };
            change(&mut payload);
            proof.payload = payload;
            assert_eq!(
                verify(&proof),
                Err(DeviceFault::SignatureInvalid),
                "change {index}"
            );
        }
    }
}

#[test]
fn the_clock_may_differ_by_two_minutes_and_no_more() {
    for (now_ms, expected) in [
        (V3.signed_at_ms + 120_000, Ok(())),
        (V3.signed_at_ms - 120_000, Ok(())),
        (V3.signed_at_ms + 120_001, Err(DeviceFault::Expired)),
        (V3.signed_at_ms - 120_001, Err(DeviceFault::Expired)),
        (0, Err(DeviceFault::Expired)),
        (u64::MAX, Err(DeviceFault::Expired)),
    ] {
        let proof = DeviceClaim {
            now_ms,
            ..V3.proof()
        };
        assert_eq!(verify(&proof), expected, "{now_ms}");
    }
}

#[test]
fn the_first_fault_in_order_is_reported() {
    let mut proof = DeviceClaim {
        now_ms: 0,
        challenge: "other",
        signature: "",
        public_key: "",
        ..V3.proof()
    };
    assert_eq!(verify(&proof), Err(DeviceFault::IdMismatch));
    proof.public_key = V3.key;
    assert_eq!(verify(&proof), Err(DeviceFault::Expired));
    proof.now_ms = V3.now_ms;
    assert_eq!(verify(&proof), Err(DeviceFault::NonceMismatch));
    proof.challenge = V3.challenge;
    assert_eq!(verify(&proof), Err(DeviceFault::SignatureInvalid));
    proof.signature = V3.signature;
    assert_eq!(verify(&proof), Ok(()));
}

#[test]
fn an_id_in_capitals_is_another_id() {
    let id = V3.id.to_ascii_uppercase();
    let mut proof = V3.proof();
    proof.payload.device_id = &id;
    assert_eq!(verify(&proof), Err(DeviceFault::IdMismatch));
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    // The neutral element as key, and a signature of zeros, pass a lenient check for every text.
    let mut key = [0; 32];
    key[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let (id, key, signature) = (
        device_id(&key),
        URL_SAFE_NO_PAD.encode(key),
        URL_SAFE_NO_PAD.encode(signature),
    );
    let mut proof = V3.proof();
    proof.payload.device_id = &id;
    proof.public_key = &key;
    proof.signature = &signature;
    assert_eq!(verify(&proof), Err(DeviceFault::SignatureInvalid));
}

#[test]
fn padding_and_the_other_alphabet_are_not_read() {
    let padded = format!("{}=", V3.key);
    let other = V2.key.replace('-', "+").replace('_', "/");
    for (recorded, key) in [(&V3, padded), (&V2, other)] {
        let mut proof = recorded.proof();
        proof.public_key = &key;
        assert_eq!(verify(&proof), Err(DeviceFault::IdMismatch), "{key}");
    }
}

#[test]
fn what_a_device_signs_afresh_is_believed() {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let key = signer.verifying_key().to_bytes();
    let (id, key) = (device_id(&key), URL_SAFE_NO_PAD.encode(key));
    let mut proof = DeviceClaim {
        public_key: &key,
        ..V3.proof()
    };
    proof.payload.device_id = &id;
    proof.payload.device_family = Some("  Desk|Top ");
    for text in [proof.payload.v2(), proof.payload.v3()] {
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(text.as_bytes()).to_bytes());
        let proof = DeviceClaim {
            signature: &signature,
            ..proof
        };
        assert_eq!(verify(&proof), Ok(()), "{text}");
    }
}
