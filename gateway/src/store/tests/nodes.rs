//! Nodes, as the tests of the store need them.

use std::collections::BTreeMap;

use super::*;
use crate::nodes::{
    Action, Legacy, LegacyRequest, Node, NodeChange, NodeFace, NodesContents, Priority, Surface,
    Waiting, Wanted, Work, WorkKind,
};

fn surface(name: &str) -> Surface {
    Surface {
        caps: texts(&[name, "system"]),
        commands: texts(&["system.which", name]),
        permissions: BTreeMap::from([(name.to_owned(), true), ("no".to_owned(), false)]),
    }
}

fn face(name: &str) -> NodeFace {
    let some = |more: &str| Some(format!("{name}{more}"));
    NodeFace {
        face: Face {
            display_name: some(""),
            platform: name.to_owned(),
            device_family: some(" family"),
            client_id: name.to_owned(),
            client_mode: name.to_owned(),
        },
        version: some(" version"),
        core_version: some(" core"),
        ui_version: some(" ui"),
        model_identifier: some(" model"),
    }
}

/// One of each kind that says as much as it can; every text of it holds `name`.
pub(super) fn told(name: &str) -> NodesContents {
    let remote_ip = Some(name.to_owned());
    NodesContents {
        nodes: vec![Node {
            id: name.to_owned(),
            face: face(name),
            surface: surface(name),
            label: Some(name.to_owned()),
            remote_ip: remote_ip.clone(),
            created_ms: 1_700_000_000_010,
            approved_ms: 1_700_000_000_011,
            alive: Some((1_700_000_000_012, name.to_owned())),
        }],
        waiting: vec![Waiting {
            id: name.to_owned(),
            node_id: name.to_owned(),
            face: face(name),
            surface: surface(name),
            remote_ip: remote_ip.clone(),
            is_silent: true,
            is_rejected: true,
            created_ms: 1_700_000_000_013,
        }],
        work: vec![Work {
            id: name.to_owned(),
            node_id: name.to_owned(),
            kind: WorkKind::Location,
            priority: Priority::High,
            created_ms: 1_700_000_000_014,
            expires_ms: 1_700_000_000_015,
        }],
        actions: vec![Action {
            id: name.to_owned(),
            node_id: name.to_owned(),
            command: name.to_owned(),
            params_json: Some(name.to_owned()),
            key: name.to_owned(),
            queued_ms: 1_700_000_000_016,
        }],
        legacy: vec![Legacy {
            id: name.to_owned(),
            face: face(name),
            surface: surface(name),
            remote_ip: remote_ip.clone(),
            digest: [0x66; 32],
            created_ms: 1_700_000_000_017,
            approved_ms: 1_700_000_000_018,
        }],
        legacy_requests: vec![LegacyRequest {
            id: name.to_owned(),
            wanted: Wanted {
                node_id: name.to_owned(),
                face: face(name),
                surface: surface(name),
                remote_ip,
                silent: Some(true),
            },
            is_repair: true,
            created_ms: 1_700_000_000_019,
        }],
    }
}

/// The same with every time at `ms`.
pub(super) fn at(ms: u64) -> NodesContents {
    let mut contents = told("node");
    for node in &mut contents.nodes {
        (node.created_ms, node.approved_ms) = (ms, ms);
        node.alive = Some((ms, String::new()));
    }
    for waiting in &mut contents.waiting {
        waiting.created_ms = ms;
    }
    for work in &mut contents.work {
        (work.created_ms, work.expires_ms) = (ms, ms);
    }
    for action in &mut contents.actions {
        action.queued_ms = ms;
    }
    for legacy in &mut contents.legacy {
        (legacy.created_ms, legacy.approved_ms) = (ms, ms);
    }
    for request in &mut contents.legacy_requests {
        request.created_ms = ms;
    }
    contents
}

/// One of each kind that says little, and one that says much, in the order of their ids.
pub(super) fn everything() -> NodesContents {
    let mut bare = told("bare");
    for node in &mut bare.nodes {
        node.face = NodeFace::default();
        node.surface = Surface::default();
        (node.label, node.remote_ip, node.alive) = (None, None, None);
    }
    for waiting in &mut bare.waiting {
        waiting.face = NodeFace::default();
        waiting.surface = Surface::default();
        (waiting.remote_ip, waiting.is_silent, waiting.is_rejected) = (None, false, false);
    }
    for work in &mut bare.work {
        (work.kind, work.priority) = (WorkKind::Status, Priority::Normal);
    }
    for action in &mut bare.actions {
        action.params_json = None;
    }
    for legacy in &mut bare.legacy {
        legacy.face = NodeFace::default();
        legacy.remote_ip = None;
    }
    for request in &mut bare.legacy_requests {
        request.wanted.face = NodeFace::default();
        (request.wanted.remote_ip, request.wanted.silent) = (None, None);
        request.is_repair = false;
    }
    both(bare, told("full"))
}

/// What is in either, in the order of their ids.
pub(super) fn both(one: NodesContents, other: NodesContents) -> NodesContents {
    let mut model = Model::default();
    for change in changes(&one).into_iter().chain(changes(&other)) {
        model.apply(change);
    }
    model.contents()
}

pub(super) fn changes(contents: &NodesContents) -> Vec<NodeChange> {
    let contents = contents.clone();
    let nodes = contents.nodes.into_iter().map(Box::new);
    let waiting = contents.waiting.into_iter().map(Box::new);
    let legacy = contents.legacy.into_iter().map(Box::new);
    let requests = contents.legacy_requests.into_iter().map(Box::new);
    let work = contents.work.into_iter();
    nodes
        .map(NodeChange::Put)
        .chain(waiting.map(NodeChange::PutWaiting))
        .chain(work.map(|work| NodeChange::PutWork(work, 1)))
        .chain(contents.actions.into_iter().map(NodeChange::PutAction))
        .chain(legacy.map(NodeChange::PutLegacy))
        .chain(requests.map(NodeChange::PutLegacyRequest))
        .collect()
}

/// Plain maps.
#[derive(Debug, Default)]
pub(super) struct Model {
    nodes: BTreeMap<String, Node>,
    waiting: BTreeMap<String, Waiting>,
    work: BTreeMap<String, Work>,
    actions: BTreeMap<String, Action>,
    legacy: BTreeMap<String, Legacy>,
    requests: BTreeMap<String, LegacyRequest>,
}

impl Model {
    pub(super) fn apply(&mut self, change: NodeChange) {
        match change {
            NodeChange::Put(node) => drop(self.nodes.insert(node.id.clone(), *node)),
            NodeChange::Drop(id) => {
                self.nodes.remove(&id);
                self.work.retain(|_, work| work.node_id != id);
                self.actions.retain(|_, action| action.node_id != id);
            }
            NodeChange::PutWaiting(waiting) => {
                drop(self.waiting.insert(waiting.node_id.clone(), *waiting));
            }
            NodeChange::DropWaiting(id) => drop(self.waiting.remove(&id)),
            NodeChange::PutWork(work, _) => drop(self.work.insert(work.id.clone(), work)),
            NodeChange::DropWork(_, ids, _) => self.work.retain(|id, _| !ids.contains(id)),
            NodeChange::PutAction(action) => {
                drop(self.actions.insert(action.id.clone(), action));
            }
            NodeChange::DropActions(ids) => self.actions.retain(|id, _| !ids.contains(id)),
            NodeChange::PutLegacy(legacy) => drop(self.legacy.insert(legacy.id.clone(), *legacy)),
            NodeChange::DropLegacy(id) => drop(self.legacy.remove(&id)),
            NodeChange::PutLegacyRequest(request) => {
                drop(self.requests.insert(request.id.clone(), *request));
            }
            NodeChange::DropLegacyRequest(id) => drop(self.requests.remove(&id)),
        }
    }

    pub(super) fn contents(&self) -> NodesContents {
        NodesContents {
            nodes: self.nodes.values().cloned().collect(),
            waiting: self.waiting.values().cloned().collect(),
            work: self.work.values().cloned().collect(),
            actions: self.actions.values().cloned().collect(),
            legacy: self.legacy.values().cloned().collect(),
            legacy_requests: self.requests.values().cloned().collect(),
        }
    }
}

#[test]
fn a_node_that_is_dropped_takes_what_waits_for_it_along() {
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&changes_of(&everything())).unwrap();
    let drops = [
        NodeChange::Drop("full".to_owned()),
        NodeChange::DropWaiting("bare".to_owned()),
        NodeChange::DropLegacyRequest("bare".to_owned()),
        NodeChange::DropLegacy("full".to_owned()),
    ];
    store.write(&drops.clone().map(Change::Node)).unwrap();
    drop(store);
    let mut model = Model::default();
    for change in changes(&everything()).into_iter().chain(drops) {
        model.apply(change);
    }
    let found = home.contents().nodes;
    assert_eq!(found, model.contents());
    assert!(found.work.iter().all(|work| work.node_id == "bare"));
}

fn changes_of(contents: &NodesContents) -> Vec<Change> {
    changes(contents).into_iter().map(Change::Node).collect()
}
