//! What happened in a world, in the order in which it happened.

use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value;

use super::coverage::Coverage;
use super::link::Message;

/// Everything that was noted in one world.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What was noted, in order.
    pub entries: Vec<Entry>,
    /// The most bytes that may wait for one connection.
    pub outbox: usize,
    /// Whether what is known under keys survives a restart.
    pub keeps_runs: bool,
    /// What the world went through.
    pub coverage: Coverage,
}

/// One thing that was noted.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in microseconds.
    pub at: u64,
    /// What.
    pub note: Note,
}

/// Which socket of which life of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// How often the gateway was started before.
    pub boot: u32,
    /// Its number.
    pub conn: u64,
}

/// Who a connection is, as the application granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What makes it one participant of the presence list; `None` for those that have no row.
    pub row: Option<String>,
    /// Whether it is a node.
    pub is_node: bool,
    /// Its scopes, with what they imply.
    pub scopes: Vec<&'static str>,
    /// What it says it understands.
    pub caps: Vec<&'static str>,
}

/// Who is meant to hear a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Everybody.
    All,
    /// Operators that hold this scope.
    Scope(&'static str),
    /// Operators that hold this scope and understand this.
    Cap(&'static str, &'static str),
    /// Everybody but operators that hold this scope.
    Without(&'static str),
}

/// How a request or a task of a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Answered,
    /// What became of it is unknown.
    Unknown,
    /// It was never sent.
    NotSent,
}

/// A request of a client: which of its connections, and which request of that.
pub type Asked = (usize, u32, String);

/// What may be noted.
#[derive(Clone, Debug)]
pub enum Note {
    /// The gateway was started.
    Boot(u32),
    /// The gateway is gone.
    Down(u32),
    /// A socket was opened at the gateway, by this peer.
    Opened(Socket, String),
    /// Somebody was let in.
    Admitted(Socket, Guest),
    /// The gateway heard a message.
    Heard(Socket, Rc<Message>),
    /// The gateway said something.
    Said(Socket, Rc<Message>),
    /// The gateway sent a ping.
    Pinged(Socket),
    /// The gateway heard that a peer is alive.
    Ponged(Socket),
    /// The gateway was told that a peer is gone.
    Gone(Socket),
    /// The gateway sent a close.
    Closing(Socket, u16, String),
    /// The application closes a connection: what it pushes from now on is not for that one.
    Dismissed(Socket),
    /// The gateway knows that a socket is gone.
    Ended(Socket),
    /// The gateway found a peer at fault.
    Fault(Socket, &'static str),
    /// The application pushed something with a number of its own, of so many bytes.
    Published {
        /// Which life of the gateway.
        boot: u32,
        /// Its number.
        number: u64,
        /// Who is meant to hear it.
        family: Family,
        /// Whether it may be dropped.
        droppable: bool,
        /// Its size.
        bytes: usize,
    },
    /// The application answered the request of this id with so many bytes.
    Replied(Socket, String, usize),
    /// The application began a run for a principal under a key.
    Began(u32, String, String),
    /// The application ended a run.
    Finished(u32, String),
    /// The gateway's machine has nothing left to tell its application.
    Settled,
    /// Something never comes to rest.
    Stuck,
    /// A client opened a connection, its so-manieth.
    Dialled(usize, u32),
    /// A client was greeted, in this protocol.
    Ready(usize, u32, u64),
    /// A client's connection is over, as the client knows it.
    Over(usize, u32),
    /// A client put a message on the wire.
    Sent(usize, u32, Rc<Message>),
    /// A client heard a message.
    Got(usize, u32, Rc<Message>),
    /// A client was told of a gap: what it expected, and what came.
    Gap(usize, u32, u64, u64),
    /// A client asked something.
    Asked(Asked),
    /// A request was acknowledged.
    Acknowledged(Asked),
    /// A request ended.
    Concluded(Asked, End),
    /// A client does not care for a request any more.
    Forgotten(Asked),
    /// A client began to care for a run.
    Task(usize, u32),
    /// What became of it.
    TaskEnded(usize, u32, End),
    /// The faults are over, and everything had its time: the gateway's state.
    Rest {
        /// The presence list.
        presence: Value,
        /// What health is, for readers.
        health: Value,
        /// The versions of both.
        versions: (u64, u64),
        /// The connections with output that nobody was told of.
        undrained: Vec<u64>,
        /// How many runs the hub holds open, and how many sockets.
        open: (usize, usize),
        /// How many connections the hub counts as let in.
        admitted: usize,
        /// How many runs the application still works on.
        works: usize,
    },
    /// At rest: what a client knows.
    Mirror {
        /// Which.
        client: usize,
        /// Which of its connections.
        life: u32,
        /// Whether it has had its hello.
        is_connected: bool,
        /// Whether it may read the state.
        reads: bool,
        /// Whether it believes that it missed something.
        is_suspect: bool,
        /// Whether it has output left.
        undrained: bool,
        /// The presence list.
        presence: Value,
        /// What health is.
        health: Value,
        /// The versions that it was told.
        versions: (u64, u64),
    },
}

impl History {
    /// The history as a transcript: what crossed the gateway's edge in the golden format, what
    /// clients knew as comments.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what has no form of its own is shown as it is"
    )]
    pub fn transcript(&self) -> String {
        let mut out = String::new();
        for Entry { at, note } in &self.entries {
            let moment = format!("{}.{:03}", at / 1_000_000, at / 1_000 % 1_000);
            let text = |message: &Message| String::from_utf8_lossy(&message.text).into_owned();
            let line = match note {
                Note::Boot(boot) => format!("# {moment} gateway starts, boot-{boot}"),
                Note::Opened(socket, who) => {
                    format!(
                        "# {moment} {who} is {}\n{moment} {} open",
                        name(*socket),
                        name(*socket)
                    )
                }
                Note::Heard(socket, message) => {
                    format!("{moment} {} <- {}", name(*socket), text(message))
                }
                Note::Said(socket, message) => {
                    format!("{moment} {} -> {}", name(*socket), text(message))
                }
                Note::Pinged(socket) => format!("{moment} {} ping", name(*socket)),
                Note::Ponged(socket) => format!("{moment} {} pong", name(*socket)),
                Note::Gone(socket) => format!("{moment} {} gone", name(*socket)),
                Note::Closing(socket, code, reason) => {
                    format!("{moment} {} close {code} {reason}", name(*socket))
                }
                Note::Ended(socket) => format!("{moment} {} event closed", name(*socket)),
                Note::Fault(socket, clause) => {
                    format!("{moment} {} event {clause}", name(*socket))
                }
                Note::Settled => continue,
                Note::Sent(client, life, message) => {
                    format!("# {moment} client {client}.{life} sent {}", text(message))
                }
                Note::Got(client, life, message) => {
                    let got: String = text(message).chars().take(100).collect();
                    format!("# {moment} client {client}.{life} got {got}")
                }
                other => format!("# {moment} {other:?}"),
            };
            let _ = writeln!(out, "{line}");
        }
        out
    }
}

fn name(socket: Socket) -> String {
    format!("b{}s{}", socket.boot, socket.conn)
}
