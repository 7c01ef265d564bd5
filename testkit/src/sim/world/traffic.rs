//! What travels between the gateway and its peers.

use std::rc::Rc;

use bytes::Bytes;
use openclaw_protocol_core::client::Connection;
use openclaw_protocol_core::frame::Close;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hub::Hub;

use super::{Wire, World};
use crate::sim::coverage::Trial;
use crate::sim::history::{Note, Socket};
use crate::sim::link::{Item, Message};

impl World {
    /// Sends what there is to send, both ways.
    pub(in crate::sim) fn pump(&mut self) {
        self.gateway.hear(&mut self.log);
        self.bury();
        while let Some(conn) = self.gateway.hub.as_mut().and_then(Hub::poll_ready) {
            let boot = self.gateway.boot;
            let named = |wire: &&mut Wire| wire.conn == conn && wire.boot == boot;
            if let Some(wire) = self.wires.values_mut().find(named) {
                wire.is_named = true;
            }
        }
        let ids: Vec<u32> = self.wires.keys().copied().collect();
        for id in ids {
            self.pump_up(id);
            self.pump_down(id);
        }
        let is_over = |wire: &Wire| !wire.gateway_is_there && !wire.client_is_there;
        self.wires.retain(|_, wire| !is_over(wire));
    }

    fn pump_up(&mut self, id: u32) {
        let at = self.log.at();
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        let Some(peer) = wire.client.map(|index| &mut self.peers[index]) else {
            return;
        };
        if !wire.client_is_there {
            return;
        }
        while wire.link.up.has_room()
            && let Some(transmit) = peer.conn.as_mut().and_then(Connection::poll_transmit)
        {
            match transmit {
                Transmit::Frame(frame) => {
                    let message = Message::new(Bytes::from(frame.encode()));
                    self.log
                        .note(Note::Sent(peer.index, peer.life, Rc::clone(&message)));
                    wire.link.up.send(Item::Text(message), at);
                }
                Transmit::Ping => wire.link.up.send(Item::Ping, at),
                Transmit::Close(close) => {
                    let item = Item::Close(close.code, close.reason().to_owned());
                    peer.close = Some(close);
                    wire.link.up.send(item, at);
                }
            }
        }
        if !wire.link.up.has_room() {
            self.log.tried(Trial::FullLink);
        }
        if peer.conn.is_none() {
            wire.client_is_there = false;
            wire.link.up.send(Item::End, at);
        }
    }

    fn pump_down(&mut self, id: u32) {
        let at = self.log.at();
        let boot = self.gateway.boot;
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        if !wire.gateway_is_there || wire.boot != boot {
            return;
        }
        let Some(hub) = &mut self.gateway.hub else {
            return;
        };
        let socket = Socket {
            boot,
            conn: wire.conn.0,
        };
        while wire.link.down.has_room() {
            if core::mem::take(&mut wire.is_unreported) {
                hub.sent(wire.conn);
            }
            if !wire.is_named {
                break;
            }
            let Some(transmit) = hub.poll_transmit(wire.conn) else {
                wire.is_named = false;
                break;
            };
            wire.is_unreported = true;
            let item = match transmit {
                Transmit::Frame(frame) => {
                    let message = Message::new(Bytes::from(frame.encode()));
                    self.log.note(Note::Said(socket, Rc::clone(&message)));
                    Item::Text(message)
                }
                Transmit::Ping => {
                    self.log.note(Note::Pinged(socket));
                    Item::Ping
                }
                Transmit::Close(close) => {
                    let reason = close.reason().to_owned();
                    self.log
                        .note(Note::Closing(socket, close.code, reason.clone()));
                    Item::Close(close.code, reason)
                }
            };
            wire.link.down.send(item, at);
        }
    }

    pub(super) fn arrive_up(&mut self, id: u32) {
        let at = self.log.at();
        while let Some(wire) = self.wires.get(&id) {
            let is_live = self.is_live(wire);
            if self.is_waiting(wire) {
                return;
            }
            let Some(wire) = self.wires.get_mut(&id) else {
                return;
            };
            let Some(item) = wire.link.up.take(at) else {
                return;
            };
            let Some(hub) = self.gateway.hub.as_mut().filter(|_| is_live) else {
                continue;
            };
            let (conn, now) = (wire.conn, self.log.now());
            let socket = Socket {
                boot: wire.boot,
                conn: conn.0,
            };
            wire.link.up.carried(&mut self.log);
            match item {
                Item::Text(message) => {
                    self.log.note(Note::Heard(socket, Rc::clone(&message)));
                    hub.handle_frame(conn, Inbound::decode(&message.text), now);
                }
                Item::Ping => {
                    self.log.note(Note::Ponged(socket));
                    hub.handle_activity(conn, now);
                }
                item @ (Item::Close(..) | Item::End) => {
                    self.log.note(Note::Gone(socket));
                    if matches!(item, Item::Close(..)) {
                        wire.link.down.send(item, at);
                    }
                    hub.handle_disconnect(conn, now);
                }
            }
            self.gateway.hear(&mut self.log);
            self.bury();
        }
    }

    pub(super) fn arrive_down(&mut self, id: u32) {
        let at = self.log.at();
        while let Some(wire) = self.wires.get_mut(&id) {
            let Some(item) = wire.link.down.take(at) else {
                return;
            };
            if !wire.client_is_there {
                continue;
            }
            let mut peer = wire.client.map(|index| &mut self.peers[index]);
            match item {
                Item::Text(message) => {
                    if let Some(peer) = peer {
                        peer.got(&message, &mut self.log);
                    }
                }
                Item::Ping => {
                    wire.link.up.send(Item::Ping, at);
                    let now = self.log.now();
                    if let Some(conn) = peer.and_then(|peer| peer.conn.as_mut()) {
                        conn.handle_activity(now);
                    }
                }
                item @ (Item::Close(..) | Item::End) => {
                    wire.client_is_there = false;
                    if let Item::Close(code, reason) = item {
                        wire.link.up.send(Item::Close(code, reason.clone()), at);
                        if let Some(peer) = &mut peer {
                            peer.close = Some(Close::new(code, reason));
                        }
                    }
                    wire.link.up.send(Item::End, at);
                    if let Some(peer) = peer {
                        peer.disconnected(&mut self.log);
                    }
                }
            }
        }
    }

    /// Drops the sockets that the gateway has dropped.
    pub(super) fn bury(&mut self) {
        let (boot, at) = (self.gateway.boot, self.log.at());
        for conn in core::mem::take(&mut self.log.ended) {
            for wire in self.wires.values_mut() {
                if wire.conn == conn && wire.boot == boot {
                    wire.gateway_is_there = false;
                    wire.link.down.send(Item::End, at);
                }
            }
        }
    }
}
