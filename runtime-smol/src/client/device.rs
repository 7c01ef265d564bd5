//! The key that a client proves itself with.

use std::fmt;
use std::sync::Arc;

use openclaw_protocol_core::device::DevicePayload;
use openclaw_protocol_core::hello::connect::{ConnectParams, DeviceProof};

type Sign = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A device: its name, its public key, and whatever signs with its private key.
///
/// The private key stays with the owner: `sign` gets the text of
/// [`DevicePayload::v3`](openclaw_protocol_core::device::DevicePayload::v3) once for each connection,
/// on the connection's task, so it should take no longer than a signature does.
///
/// ```
/// use openclaw_runtime_smol::client::{Device, Gateway};
///
/// # fn signature(_: &str) -> String { String::new() }
/// let device = Device::new("2d71…", "11qYAY…", |text| signature(text));
/// let builder = Gateway::builder("ws://127.0.0.1:18789").device(device);
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct Device {
    id: String,
    public_key: String,
    sign: Sign,
}

impl Device {
    /// Names a device by the hex SHA-256 of its raw Ed25519 public key, gives that key in unpadded
    /// base64url, and says how to sign a text; signatures are unpadded base64url too.
    pub fn new(
        id: impl Into<String>,
        public_key: impl Into<String>,
        sign: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: id.into(),
            public_key: public_key.into(),
            sign: Arc::new(sign),
        }
    }

    /// Proves that these parameters come from the device, in answer to a challenge.
    pub(super) fn prove(
        &self,
        params: &ConnectParams,
        nonce: &str,
        signed_at_ms: u64,
    ) -> DeviceProof {
        let payload = DevicePayload {
            device_id: &self.id,
            client_id: &params.client.id,
            client_mode: &params.client.mode,
            role: &params.role,
            scopes: &params.scopes,
            signed_at_ms,
            token: params.auth.signed(),
            nonce,
            platform: Some(&params.client.platform),
            device_family: params.client.device_family.as_deref(),
        };
        DeviceProof {
            id: self.id.clone(),
            public_key: self.public_key.clone(),
            signature: (self.sign)(&payload.v3()),
            signed_at_ms,
            nonce: nonce.to_owned(),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
