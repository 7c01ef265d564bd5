//! What ids are called whose text is another with every gateway.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Step;

/// The ids of one replay and their names, `$request:1` and the like.
#[derive(Default)]
pub(crate) struct Names {
    by_id: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u32>,
}

impl Names {
    /// Names the devices of a recording's clients.
    pub(crate) fn of_devices(steps: &[Step]) -> Self {
        let mut names = Self::default();
        for step in steps {
            let text = step.line["send"].as_str().unwrap_or("");
            let frame: Value = serde_json::from_str(text).unwrap_or_default();
            let device = frame["params"]["device"]["id"].as_str();
            if let Some(device) = device.filter(|device| device.len() == 64) {
                names.give("device", device);
            }
        }
        names
    }

    /// Names the ids that a gateway chose and that clients refer to.
    pub(crate) fn learn(&mut self, frame: &Value) {
        let payload = &frame["payload"];
        match frame["event"].as_str() {
            Some("node.invoke.request") => {
                self.give_to("invoke", &payload["id"]);
                let params = payload["paramsJSON"].as_str().unwrap_or("null");
                if payload["command"] == "system.run" {
                    let params: Value = serde_json::from_str(params).unwrap_or_default();
                    self.give_to("run", &params["runId"]);
                }
            }
            Some("device.pair.requested" | "node.pair.requested") => {
                self.give_to("request", &payload["requestId"]);
            }
            Some(_) => {}
            None => {
                for entry in payload["pending"].as_array().into_iter().flatten() {
                    self.give_to("request", &entry["requestId"]);
                }
                self.give_to("request", &frame["error"]["details"]["requestId"]);
            }
        }
    }

    fn give_to(&mut self, kind: &'static str, id: &Value) {
        if let Some(id) = id.as_str() {
            self.give(kind, id);
        }
    }

    fn give(&mut self, kind: &'static str, id: &str) {
        if !self.knows(id) {
            let count = self.counts.entry(kind).or_default();
            *count += 1;
            self.by_id.insert(id.to_owned(), format!("${kind}:{count}"));
        }
    }

    pub(crate) fn knows(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// A line with names in place of ids.
    pub(crate) fn put(&self, line: String) -> String {
        let ids = self.by_id.iter();
        ids.fold(line, |line, (id, name)| line.replace(id, name))
    }

    /// What a client says, with our gateway's ids in place of names.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut names: Vec<_> = self.by_id.iter().collect();
        // `$invoke:12` before `$invoke:1`.
        names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        let fill = |text: String, (id, name): (&String, &String)| text.replace(name, id);
        names.into_iter().fold(text.to_owned(), fill)
    }
}

#[test]
fn a_name_that_begins_with_another_stays_whole() {
    let mut names = Names::default();
    let ids: Vec<String> = (1..=12).map(|id| format!("<{id}>")).collect();
    for id in &ids {
        names.give("invoke", id);
        names.give("invoke", id);
    }
    assert_eq!(names.fill("$invoke:1 $invoke:12"), "<1> <12>");
    assert_eq!(
        names.put("<1> <12> <13>".to_owned()),
        "$invoke:1 $invoke:12 <13>"
    );
}
