//! What comes out of a hub, and when its timers are served.

use bytes::Bytes;
use openclaw_protocol_core::frame::from_gateway::FromGateway;
use openclaw_protocol_core::frame::outgoing::{Outcome, Transmit};
use openclaw_protocol_core::hub::Event;
use openclaw_protocol_core::server::ConnId;

use serde_json::Value;

use super::histories::{Heard, Peer};
use super::support::{millis, seconds};
use super::world::{Drain, World, json_of};

impl World {
    pub(crate) fn take_events(&mut self) {
        while self.take_event() {}
    }

    fn take_event(&mut self) -> bool {
        let Some(event) = self.hub.poll_event() else {
            return false;
        };
        match event {
            Event::Connect {
                applicant, params, ..
            } => self.applicants.push((applicant, params)),
            Event::Request { call, request } => {
                // Only ours are answered with words that tell first answers from last ones.
                assert!(
                    self.known(call.conn()).granted.is_some(),
                    "{request:?} before hello"
                );
                if &*request.method == "system-presence" {
                    let now = self.now();
                    self.hub.reply_presence(call, now);
                } else {
                    self.calls.push(call);
                }
            }
            Event::Fault { conn, .. } => assert!(!self.known(conn).over),
            Event::Closed { conn, .. } => {
                let peer = self.known(conn);
                assert!(!core::mem::replace(&mut peer.over, true), "it ends once");
            }
        }
        true
    }

    pub(crate) fn known(&mut self, conn: ConnId) -> &mut Peer {
        self.peers
            .iter_mut()
            .find(|peer| peer.conn == conn)
            .expect("known")
    }

    pub(crate) fn pull(&mut self, peer: usize) -> bool {
        let now = self.now();
        let conn = self.peers[peer].conn;
        let has_output = self.hub.has_output(conn);
        let transmit = self.hub.poll_transmit(conn);
        assert_eq!(transmit.is_some(), has_output);
        let heard = match transmit {
            None => return false,
            Some(Transmit::Ping) => {
                if !self.peers[peer].mute {
                    self.hub.handle_activity(conn, now);
                }
                Heard::Ping
            }
            Some(Transmit::Close(close)) => {
                assert!(close.reason().len() <= 120);
                Heard::Close(close.code, close.reason().to_owned())
            }
            Some(Transmit::Frame(frame)) => {
                let text = Bytes::from(frame.encode());
                assert!(text.len() <= self.limits.frame);
                let legal = matches!(
                    FromGateway::decode(&text),
                    FromGateway::Response { .. } | FromGateway::Push(_)
                );
                assert!(legal, "{text:?} is no frame");
                Heard::Frame(serde_json::from_slice(&text).expect("JSON"))
            }
        };
        self.peers[peer].hear(heard);
        true
    }

    /// Serves every timer at its moment; what was served once is idle the second time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.clock.passed() + millis(ms);
        while let Some(due) = self
            .hub
            .poll_timeout()
            .filter(|due| due.at.since_origin() <= until)
        {
            self.clock
                .set(due.at.since_origin().max(self.clock.passed()));
            self.serve();
        }
        self.clock.set(until);
        self.serve();
    }

    fn serve(&mut self) {
        let now = self.now();
        self.hub.handle_timeout(now);
        let due = self.hub.poll_timeout();
        assert!(
            due.is_none_or(|due| due.at > now.at),
            "{due:?} is still due"
        );
        let rest = self.state();
        self.hub.handle_timeout(now);
        assert_eq!(self.state(), rest, "it is idle the second time");
        self.take_events();
        if self.drain != Drain::AsTold {
            self.drain_all();
        }
    }

    pub(crate) fn drain_all(&mut self) {
        loop {
            let mut ready: Vec<ConnId> = core::iter::from_fn(|| self.hub.poll_ready()).collect();
            if self.drain == Drain::OutputFirst {
                ready.sort_by(|one, other| other.cmp(one));
            }
            let mut turns: Vec<usize> = ready
                .iter()
                .filter_map(|conn| self.peers.iter().position(|peer| peer.conn == *conn))
                .collect();
            if self.drain == Drain::EventsFirst {
                self.take_events();
            }
            let mut moved = !turns.is_empty();
            while self.drain == Drain::InTurns && !turns.is_empty() {
                turns.retain(|peer| self.pull(*peer));
                moved |= self.take_event();
            }
            for peer in turns {
                while self.pull(peer) {}
            }
            moved |= self.take_event();
            self.take_events();
            for conn in ready {
                self.hub.sent(conn);
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets everybody in, answers everything, and lets everybody read to the end.
    pub(crate) fn rest(&mut self) {
        let now = self.now();
        loop {
            self.take_events();
            self.read_everything();
            if let Some(call) = self.calls.pop() {
                self.hub.reply(call, Outcome::success(json_of("ok")), now);
            } else if !self.applicants.is_empty() {
                self.decide(0, true);
            } else if let Some(run) = self.runs.pop() {
                self.hub.complete(run, Outcome::success(json_of("ok")), now);
            } else {
                break;
            }
        }
        for _ in 0..5 {
            self.pass(seconds(2).as_millis() as u64);
            self.read_everything();
        }
        self.everybody_knows_who_is_there();
        let open = self.peers.iter().filter(|peer| !peer.over).count();
        assert_eq!(self.hub.connections(), open);
        assert_eq!(self.hub.open_runs(), 0);
        while let Some(conn) = self.hub.poll_ready() {
            assert!(!self.hub.has_output(conn), "nothing is left");
        }
    }

    /// Whoever may read holds the list as it is.
    fn everybody_knows_who_is_there(&mut self) {
        let list: Value = self.hub.presence().read().expect("JSON");
        for peer in &self.peers {
            if peer.reads() && self.hub.session(peer.conn).is_some() {
                assert_eq!(peer.list.as_ref(), Some(&list), "{:?}", peer.heard);
            }
        }
    }

    fn read_everything(&mut self) {
        for peer in 0..self.peers.len() {
            while self.pull(peer) {}
            self.hub.sent(self.peers[peer].conn);
        }
    }
}
