//! What to connect to, and as whom.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use openclaw_protocol_core::client::Timeouts;
use openclaw_protocol_core::hello::connect::{Client, ConnectParams, Credentials};
use openclaw_protocol_core::hello::{LATEST, VERSIONS, VersionRange};

use super::address::Address;
use super::device::Device;
use super::driver::{Driver, Ends, Introduction};
use super::error::{ConnectError, UrlError};
use super::events::{Events, Feed, subscription};
use super::link::LinkBuilder;
use super::wire::Wire;
use super::{Gateway, WAITING_REQUESTS};
use crate::tls::{Authority, Fingerprint, Trust};

/// Collects what a connection needs; [`Gateway::builder`] starts one.
///
/// `Debug` does not show secrets.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `connect` is called"]
pub struct Builder {
    address: Result<Address, UrlError>,
    authority: Authority,
    params: ConnectParams,
    device: Option<Device>,
    timeouts: Timeouts,
    connect_timeout: Duration,
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        let [oldest, ..] = VERSIONS;
        Self {
            address: Address::parse(url),
            authority: Authority::new(Trust::System),
            params: ConnectParams {
                versions: VersionRange {
                    min: oldest,
                    max: LATEST,
                },
                client: Client {
                    id: "gateway-client".to_owned(),
                    display_name: None,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    build_id: None,
                    platform: std::env::consts::OS.to_owned(),
                    device_family: None,
                    model_identifier: None,
                    time_zone: None,
                    mode: "backend".to_owned(),
                    instance_id: None,
                },
                caps: Vec::new(),
                commands: Vec::new(),
                permissions: [].into(),
                path_env: None,
                role: "operator".to_owned(),
                scopes: Vec::new(),
                device: None,
                auth: Credentials::default(),
                locale: None,
                user_agent: None,
            },
            device: None,
            timeouts: Timeouts::default(),
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Presents the gateway's shared token, or a device token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.params.auth.token = Some(token.into());
        self
    }

    /// Presents the gateway's password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.params.auth.password = Some(password.into());
        self
    }

    /// Presents the token that the gateway issued to this device.
    ///
    /// A [`Link`](super::Link) that has a token or password as well holds it back, and presents it
    /// once when the gateway refuses those and says that the device's own token may do.
    pub fn device_token(mut self, token: impl Into<String>) -> Self {
        self.params.auth.device_token = Some(token.into());
        self
    }

    /// Proves with each connection that it comes from `device`, which gateways ask of clients on other
    /// hosts; none by default.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Pins the gateway's certificate: whoever shows another one gets nothing of ours.
    ///
    /// It takes the place of the authorities that the system trusts, and needs a `wss://` address.
    pub fn tls_fingerprint(self, fingerprint: Fingerprint) -> Self {
        self.trust(Trust::Pin(fingerprint))
    }

    /// Says whom to believe to be the gateway behind a `wss://` address; whom the system trusts by default.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.authority = Authority::new(trust);
        self
    }

    /// Says which program connects and how it is used, each of a closed set; `gateway-client` and
    /// `backend` by default.
    pub fn client(mut self, id: impl Into<String>, mode: impl Into<String>) -> Self {
        self.params.client.id = id.into();
        self.params.client.mode = mode.into();
        self
    }

    /// Says which version of the program connects; this crate's by default.
    pub fn client_version(mut self, version: impl Into<String>) -> Self {
        self.params.client.version = version.into();
        self
    }

    /// Gives the program a name for people.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.params.client.display_name = Some(name.into());
        self
    }

    /// Names this installation: what stays the same when the program connects again.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.params.client.instance_id = Some(id.into());
        self
    }

    /// Asks for a role; `operator` by default.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.params.role = role.into();
        self
    }

    /// Asks for scopes, such as `operator.read`; none by default.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.params.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Says which optional features the program understands, such as `tool-events`.
    pub fn caps<S: Into<String>>(mut self, caps: impl IntoIterator<Item = S>) -> Self {
        self.params.caps = caps.into_iter().map(Into::into).collect();
        self
    }

    /// Says which commands a node offers; see [`node`](super::node).
    pub fn commands<S: Into<String>>(mut self, commands: impl IntoIterator<Item = S>) -> Self {
        self.params.commands = commands.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts protocol versions from `oldest` to `newest`; 3 to 4 by default.
    pub fn versions(mut self, oldest: u32, newest: u32) -> Self {
        self.params.versions = VersionRange {
            min: oldest,
            max: newest,
        };
        self
    }

    /// Sets how long to wait for the TLS and WebSocket handshakes and for hello (`handshake`, each), for
    /// the first answer to a request, and for the gateway to answer a close.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how long looking up the host and opening the TCP connection may take in all; 10 s by
    /// default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects, introduces us and waits for hello.
    ///
    /// The connection is driven by a task on smol's global executor ([`smol::spawn`]), so it makes
    /// progress on whichever executor you wait. If you stop waiting, the connection ends.
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing is tried twice, but each address of the host is tried.
    pub async fn connect(self) -> Result<Gateway, ConnectError> {
        self.open(Vec::new()).await
    }

    /// Connects like [`Self::connect`], with a subscription that misses nothing since hello.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_with_events(self) -> Result<(Gateway, Events), ConnectError> {
        let (feed, events) = subscription();
        Ok((self.open(vec![feed]).await?, events))
    }

    /// Makes a link that connects by itself, again and again, instead of one connection.
    pub fn link(self) -> LinkBuilder {
        LinkBuilder::new(self)
    }

    /// Looks for what no gateway is needed to find.
    pub(super) fn check(&self) -> Result<&Address, ConnectError> {
        let address = self.address.as_ref();
        let address = address.map_err(|error| ConnectError::Url(*error))?;
        if self.authority.is_pin() && address.name.is_none() {
            return Err(ConnectError::Url(UrlError::PinWithoutTls));
        }
        ConnectParams::read(Some(&self.params.write())).map_err(ConnectError::Params)?;
        Ok(address)
    }

    pub(super) const fn waits(&self) -> Timeouts {
        self.timeouts
    }

    pub(super) const fn credentials(&self) -> &Credentials {
        &self.params.auth
    }

    pub(super) fn presenting(mut self, credentials: Credentials) -> Self {
        self.params.auth = credentials;
        self
    }

    async fn open(self, feeds: Vec<Feed>) -> Result<Gateway, ConnectError> {
        let address = self.check()?;
        let within = (self.connect_timeout, self.timeouts.handshake);
        let wire = Wire::open(address, &self.authority, within).await?;

        let (ask, asks) = async_channel::bounded(WAITING_REQUESTS);
        let (controller, control) = async_channel::unbounded();
        let (sender, hello) = async_channel::bounded(1);
        let (alive, ended) = async_channel::bounded(1);
        let over = Arc::new(OnceLock::new());
        let ends = Ends {
            asks,
            control,
            hello: sender,
            over: over.clone(),
        };
        let introduction = Introduction {
            params: self.params,
            device: self.device,
        };
        let driver = Driver::new(wire, introduction, self.timeouts, feeds, ends);
        smol::spawn(async move {
            driver.drive().await;
            drop(alive);
        })
        .detach();

        let lost = |_| ConnectError::Closed {
            code: 1006,
            reason: "the connection was lost".to_owned(),
        };
        let hello = hello.recv().await.map_err(lost)??;
        Ok(Gateway::new(
            hello,
            self.timeouts.request,
            ask,
            controller,
            over,
            ended,
        ))
    }
}
