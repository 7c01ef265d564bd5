//! Both cores against each other: bytes go over, values come out.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use openclaw_protocol_core::client::{self, Expect, Outgoing, RequestId, Timeouts};
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hello::connect::ConnectParams;
use openclaw_protocol_core::limits::Limits;
use openclaw_protocol_core::server::ConnId;
use serde_json::Value;

use super::gateway::{Gateway, Heard, Joiner};

/// A gateway and one of our clients, with a link that neither loses nor reorders.
pub(crate) struct Pair {
    pub(crate) gateway: Gateway,
    pub(crate) client: client::Connection,
    pub(crate) conn: ConnId,
    pub(crate) events: VecDeque<client::Event>,
    /// The close that the client was told, and that it told.
    pub(crate) closes: Vec<(u16, String)>,
    cut: bool,
}

impl Pair {
    /// A pair whose client was greeted.
    pub(crate) fn new(limits: Limits) -> Self {
        let mut gateway = Gateway::with(limits);
        let conn = gateway.open();
        let client = client::Connection::new(Timeouts::default(), gateway.now());
        let mut pair = Self {
            gateway,
            client,
            conn,
            events: VecDeque::new(),
            closes: Vec::new(),
            cut: false,
        };
        pair.flow();
        pair
    }

    /// A pair whose client is ready.
    pub(crate) fn ready(scopes: &[&str]) -> Self {
        let mut pair = Self::new(Limits::default());
        assert!(pair.connect(&Joiner {
            scopes,
            ..Joiner::default()
        }));
        pair.flow();
        assert!(pair.client.is_ready());
        pair.events.clear();
        pair
    }

    pub(crate) fn connect(&mut self, joiner: &Joiner<'_>) -> bool {
        let params = ConnectParams::read(Some(&super::json(joiner.params()))).expect("valid");
        self.client.connect(&params, self.gateway.now())
    }

    pub(crate) fn request(&mut self, method: &str, params: Value, expect: Expect) -> RequestId {
        let outgoing = Outgoing {
            method: method.into(),
            params: Some(super::json(params)),
            expect,
            within: None,
        };
        self.client.request(outgoing, self.gateway.now())
    }

    /// Moves bytes both ways until nothing moves.
    pub(crate) fn flow(&mut self) {
        loop {
            let mut moved = false;
            while let Some(transmit) = self.client.poll_transmit() {
                moved = true;
                self.tell_gateway(transmit);
            }
            for heard in self.gateway.hear(self.conn) {
                moved = true;
                self.tell_client(heard);
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push_back(event);
            }
            if !moved {
                return;
            }
        }
    }

    /// The link breaks for both sides.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.gateway.disconnect(self.conn);
        self.client.handle_disconnect();
        self.flow();
    }

    /// Waits, both sides being served.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.gateway.clock.passed() + time;
        loop {
            let due = [self.client.poll_timeout(), self.gateway.hub.poll_timeout()]
                .into_iter()
                .flatten()
                .map(|due| due.at.since_origin())
                .min();
            let Some(at) = due.filter(|at| *at <= until) else {
                break;
            };
            self.gateway.clock.set(at.max(self.gateway.clock.passed()));
            self.gateway.serve_timers();
            self.flow();
            self.client.handle_timeout(self.gateway.now());
            self.flow();
        }
        self.gateway.clock.set(until);
    }

    fn tell_gateway(&mut self, transmit: Transmit) {
        let now = self.gateway.now();
        match transmit {
            Transmit::Frame(frame) => {
                let message = Bytes::from(frame.encode());
                self.gateway
                    .hub
                    .handle_frame(self.conn, Inbound::decode(&message), now);
                self.gateway.settle();
            }
            Transmit::Ping => self.gateway.hub.handle_activity(self.conn, now),
            Transmit::Close(close) => {
                self.closes.push((close.code, close.reason().to_owned()));
                self.cut();
            }
        }
    }

    fn tell_client(&mut self, heard: Heard) {
        if self.cut {
            return;
        }
        let now = self.gateway.now();
        match heard {
            Heard::Frame(text) => {
                let message = Bytes::from(text);
                self.client.handle_frame(FromGateway::decode(&message), now);
            }
            Heard::Ping => self.client.handle_activity(now),
            Heard::Close(code, reason) => {
                self.closes.push((code, reason));
                self.cut();
            }
        }
    }
}
