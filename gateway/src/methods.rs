//! The methods that are served, and who may call them.

use openclaw_protocol_core::error_shape::ErrorShape;
use openclaw_protocol_core::scope::{Role, Scope};
use openclaw_protocol_core::server::Session;

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The health snapshot.
    Health,
    /// A short summary.
    Status,
    /// Who is there.
    SystemPresence,
    /// A presence beacon or a note.
    SystemEvent,
    /// An agent turn.
    Agent,
    /// Waits for the end of an agent turn.
    AgentWait,
    /// Ends an agent turn.
    ChatAbort,
    /// What came of the latest heartbeat.
    LastHeartbeat,
    /// Turns heartbeats on and off.
    SetHeartbeats,
    /// Who the gateway is.
    GatewayIdentity,
    /// The devices, and who waits.
    DeviceList,
    /// Makes a setup code.
    SetupCode,
    /// Changes something about a device.
    Device(DeviceMethod),
    /// Is about nodes, or for them.
    Node(NodeMethod),
}

/// A method that changes something about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceMethod {
    /// Approves it.
    Approve,
    /// Rejects it.
    Reject,
    /// Forgets it.
    Remove,
    /// Names it.
    Rename,
    /// Makes a new token for it.
    Rotate,
    /// Takes its token back.
    Revoke,
}

/// A method that is about nodes, or for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeMethod {
    /// Tells which nodes there are.
    Look(NodeLook),
    /// Decides over a node.
    Decide(NodeDecision),
    /// Looks whether a token of a node of protocol 3 is right.
    Verify,
    /// Asks a node to do something.
    Invoke,
    /// A node answers.
    Result,
    /// A node tells a part of what a command says.
    Progress,
    /// A node tells something of itself.
    Event,
    /// Is about what waits for a node.
    Pending(NodePending),
}

/// A method that tells which nodes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLook {
    /// The nodes.
    List,
    /// One node.
    Describe,
    /// The nodes that wait, and those that were approved.
    PairList,
}

/// A method that decides over a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeDecision {
    /// Approves what it offers.
    Approve,
    /// Rejects it.
    Reject,
    /// Takes the role from its device.
    Remove,
    /// Names it.
    Rename,
    /// Asks for a node of protocol 3.
    Request,
}

/// A method that is about what waits for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePending {
    /// Has work wait.
    Enqueue,
    /// Gives a node its work.
    Drain,
    /// Gives a node the commands that it could not do in the background.
    Pull,
    /// A node did such commands.
    Ack,
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Operators.
    Operators,
    /// Nodes.
    Nodes,
    /// Both.
    Everyone,
}

/// What comes of a request that is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: it only reads.
    Reads,
    /// It is known by its `idempotencyKey` and not done again.
    Keyed,
    /// It says or sets the same again.
    Sets,
    /// It is done again, however often it is asked for.
    Repeats,
}

/// One row of the table of methods.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// Its name on the wire.
    pub name: &'static str,
    /// The scope that an operator needs for it.
    pub scope: Option<Scope>,
    /// In which roles it may be called.
    pub callers: Callers,
    /// Whether only who speaks protocol 3 has it.
    pub is_legacy: bool,
    /// What comes of it when it is asked for again.
    pub repeat: Repeat,
    /// The most bytes of its parameters; they are parsed on the owner's task, so that they must
    /// stay small.
    pub max_params: usize,
}

/// The most bytes of a presence beacon, which is a row of everybody's list.
const BEACON: usize = 4 << 10;
/// The most bytes of parameters that carry no message.
const SMALL: usize = 64 << 10;
/// The most bytes of parameters that carry a message.
const MESSAGE: usize = 1 << 20;
/// The most bytes of what a node answers; large ones are read away from the owner's task.
const RESULT: usize = 25 << 20;

impl Row {
    /// How many answers it has: an acknowledgement and a final one, or one.
    #[must_use]
    pub const fn stages(&self) -> u8 {
        match self.method {
            Method::Agent => 2,
            Method::Health
            | Method::Status
            | Method::SystemPresence
            | Method::SystemEvent
            | Method::AgentWait
            | Method::ChatAbort
            | Method::LastHeartbeat
            | Method::SetHeartbeats
            | Method::GatewayIdentity
            | Method::DeviceList
            | Method::SetupCode
            | Method::Device(_)
            | Method::Node(_) => 1,
        }
    }

    /// Whether its parameters are looked at: `health` and `status` ignore theirs, whatever they
    /// are.
    #[must_use]
    pub const fn reads_params(&self) -> bool {
        !matches!(
            self.method,
            Method::Health
                | Method::Status
                | Method::SystemPresence
                | Method::LastHeartbeat
                | Method::GatewayIdentity
        )
    }
}

const fn row(method: Method, name: &'static str, scope: Option<Scope>) -> Row {
    Row {
        method,
        name,
        scope,
        callers: Callers::Operators,
        is_legacy: false,
        repeat: Repeat::Reads,
        max_params: SMALL,
    }
}

const fn node(method: NodeMethod, name: &'static str, scope: Scope) -> Row {
    row(Method::Node(method), name, Some(scope))
}

const fn of_node(method: NodeMethod, name: &'static str) -> Row {
    Row {
        callers: Callers::Nodes,
        repeat: Repeat::Sets,
        ..row(Method::Node(method), name, None)
    }
}

const fn sets(row: Row) -> Row {
    Row {
        repeat: Repeat::Sets,
        ..row
    }
}

/// Every method that is served.
pub static TABLE: [Row; 35] = [
    Row {
        callers: Callers::Everyone,
        ..row(Method::Health, "health", None)
    },
    row(Method::Status, "status", Some(Scope::Read)),
    row(Method::SystemPresence, "system-presence", Some(Scope::Read)),
    Row {
        repeat: Repeat::Sets,
        max_params: BEACON,
        ..row(Method::SystemEvent, "system-event", Some(Scope::Admin))
    },
    Row {
        repeat: Repeat::Keyed,
        max_params: MESSAGE,
        ..row(Method::Agent, "agent", Some(Scope::Write))
    },
    row(Method::AgentWait, "agent.wait", Some(Scope::Write)),
    Row {
        repeat: Repeat::Sets,
        ..row(Method::ChatAbort, "chat.abort", Some(Scope::Write))
    },
    row(Method::LastHeartbeat, "last-heartbeat", Some(Scope::Read)),
    Row {
        repeat: Repeat::Sets,
        ..row(Method::SetHeartbeats, "set-heartbeats", Some(Scope::Admin))
    },
    row(
        Method::GatewayIdentity,
        "gateway.identity.get",
        Some(Scope::Read),
    ),
    row(Method::DeviceList, "device.pair.list", Some(Scope::Pairing)),
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Approve),
            "device.pair.approve",
            Some(Scope::Pairing),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Reject),
            "device.pair.reject",
            Some(Scope::Pairing),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Remove),
            "device.pair.remove",
            Some(Scope::Pairing),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Rename),
            "device.pair.rename",
            Some(Scope::Pairing),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::SetupCode,
            "device.pair.setupCode",
            Some(Scope::Admin),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Rotate),
            "device.token.rotate",
            Some(Scope::Pairing),
        )
    },
    Row {
        repeat: Repeat::Sets,
        ..row(
            Method::Device(DeviceMethod::Revoke),
            "device.token.revoke",
            Some(Scope::Pairing),
        )
    },
    node(NodeMethod::Look(NodeLook::List), "node.list", Scope::Read),
    node(
        NodeMethod::Look(NodeLook::Describe),
        "node.describe",
        Scope::Read,
    ),
    node(
        NodeMethod::Look(NodeLook::PairList),
        "node.pair.list",
        Scope::Pairing,
    ),
    sets(node(
        NodeMethod::Decide(NodeDecision::Approve),
        "node.pair.approve",
        Scope::Pairing,
    )),
    sets(node(
        NodeMethod::Decide(NodeDecision::Reject),
        "node.pair.reject",
        Scope::Pairing,
    )),
    sets(node(
        NodeMethod::Decide(NodeDecision::Remove),
        "node.pair.remove",
        Scope::Pairing,
    )),
    sets(node(
        NodeMethod::Decide(NodeDecision::Rename),
        "node.rename",
        Scope::Pairing,
    )),
    Row {
        is_legacy: true,
        ..sets(node(
            NodeMethod::Decide(NodeDecision::Request),
            "node.pair.request",
            Scope::Pairing,
        ))
    },
    Row {
        is_legacy: true,
        ..node(NodeMethod::Verify, "node.pair.verify", Scope::Pairing)
    },
    Row {
        max_params: MESSAGE,
        repeat: Repeat::Repeats,
        ..node(NodeMethod::Invoke, "node.invoke", Scope::Write)
    },
    Row {
        max_params: RESULT,
        ..of_node(NodeMethod::Result, "node.invoke.result")
    },
    of_node(NodeMethod::Progress, "node.invoke.progress"),
    of_node(NodeMethod::Event, "node.event"),
    sets(node(
        NodeMethod::Pending(NodePending::Enqueue),
        "node.pending.enqueue",
        Scope::Write,
    )),
    of_node(
        NodeMethod::Pending(NodePending::Drain),
        "node.pending.drain",
    ),
    Row {
        repeat: Repeat::Reads,
        ..of_node(NodeMethod::Pending(NodePending::Pull), "node.pending.pull")
    },
    of_node(NodeMethod::Pending(NodePending::Ack), "node.pending.ack"),
];

/// Every event that is pushed.
pub const EVENTS: [&str; 17] = [
    "connect.challenge",
    "agent",
    "chat",
    "presence",
    "tick",
    "health",
    "heartbeat",
    "device.pair.requested",
    "device.pair.resolved",
    "device.pair.changed",
    "node.pair.requested",
    "node.pair.resolved",
    "node.presence",
    "node.hostStats",
    "node.invoke.request",
    "node.invoke.cancel",
    "shutdown",
];

/// Finds the method of a request and checks that its sender may call it.
///
/// # Errors
/// The refusal. To senders without `operator.admin` an unknown method looks like one that needs
/// it.
pub fn authorize(name: &str, session: &Session) -> Result<&'static Row, ErrorShape> {
    let row = TABLE
        .iter()
        .find(|row| row.name == name && (!row.is_legacy || session.protocol < 4));
    match (session.role, row.map(|row| row.callers)) {
        (Role::Node, Some(Callers::Nodes | Callers::Everyone)) => {}
        (Role::Node, Some(Callers::Operators) | None) => return Err(unauthorized("node")),
        (_, Some(Callers::Nodes)) => return Err(unauthorized("operator")),
        (_, Some(Callers::Operators | Callers::Everyone) | None) => {}
    }
    if session.role == Role::Node
        && let Some(row) = row
    {
        return Ok(row);
    }
    let needed = row.map_or(Some(Scope::Admin), |row| row.scope);
    if let Some(scope) = needed.filter(|scope| !session.scopes.allow(*scope)) {
        return Err(ErrorShape::missing_scope(scope.as_str()));
    }
    row.ok_or_else(|| {
        let shown = openclaw_protocol_core::json::cut(name, 120);
        ErrorShape::invalid_request(format!("unknown method: {shown}"))
    })
}

fn unauthorized(role: &str) -> ErrorShape {
    ErrorShape::invalid_request(format!("unauthorized role: {role}"))
}
