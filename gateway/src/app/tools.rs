//! What is pushed about the tools that a run uses.
//!
//! Everybody who hears of the run hears that a tool was used; with what, and what came of it, hear
//! those who say that they understand `tool-events`. Both take numbers of the same run, so who does
//! not understand them finds holes in `payload.seq` there, as with the reference gateway; the
//! numbers of their connection have none.

use std::collections::BTreeMap;

use openclaw_protocol_core::frame::outgoing::{Class, Publication};
use openclaw_protocol_core::hub::Hub;
use openclaw_protocol_core::json::{Json, Object, cut};
use openclaw_protocol_core::scope::{Audience, Scope};
use openclaw_protocol_core::time::Now;

use super::run::Active;
use crate::agents::ToolStep;

/// What clients name in `caps` to hear of arguments and results.
const TOOL_EVENTS: &str = "tool-events";
/// The most calls of one run that are open at once; more are not told.
const MAX_OPEN: usize = 64;
/// The longest name of a call or a tool, in bytes; longer ones are cut.
const MAX_NAME: usize = 256;
/// The most bytes of arguments, or of a result, that are told.
const MAX_DETAIL: usize = 256 << 10;

/// The tool calls of a run that have not ended.
#[derive(Debug, Default)]
pub(super) struct Tools(BTreeMap<String, Open>);

#[derive(Debug)]
struct Open {
    name: String,
    started_at: u64,
}

impl Active {
    /// The agent does something with a tool. What makes no sense, such as the result of a call that
    /// was never begun, is left out.
    pub(super) fn tool(&mut self, hub: &mut Hub, step: ToolStep, now: Now) {
        match step {
            ToolStep::Start { id, name, args } => {
                let id = cut(&id, MAX_NAME);
                if self.tools.0.len() < MAX_OPEN && !self.tools.0.contains_key(id) {
                    self.start_tool(hub, id, cut(&name, MAX_NAME), &args, now);
                } else {
                    log::debug!("run={} a tool call is left out", self.run_id);
                }
            }
            ToolStep::Result {
                id,
                is_error,
                result,
            } => {
                let id = cut(&id, MAX_NAME);
                if let Some(open) = self.tools.0.remove(id) {
                    self.end_tool(hub, id, &open, is_error, &result, now);
                } else {
                    log::debug!("run={} a tool result is left out", self.run_id);
                }
            }
        }
    }

    /// The run is over, and with it every call.
    pub(super) fn end_tools(&mut self, hub: &mut Hub, now: Now) {
        for (id, open) in std::mem::take(&mut self.tools.0) {
            self.end_tool(hub, &id, &open, true, &Json::null(), now);
        }
    }

    fn start_tool(&mut self, hub: &mut Hub, id: &str, name: &str, args: &Json, now: Now) {
        // What was said before the call is heard before it.
        self.tell_agent(hub, now);
        let open = Open {
            name: name.to_owned(),
            started_at: now.unix_ms,
        };
        let item = item(id, &open, "start", "running").finish();
        self.push_agent(hub, "item", &item, Class::Ordinary, now);
        let call = Object::new()
            .text("phase", "start")
            .text("name", name)
            .text("toolCallId", id)
            .json("args", &bounded(args));
        self.push_detail(hub, call, now);
        self.tools.0.insert(id.to_owned(), open);
    }

    fn end_tool(
        &mut self,
        hub: &mut Hub,
        id: &str,
        open: &Open,
        is_error: bool,
        result: &Json,
        now: Now,
    ) {
        let call = Object::new()
            .text("phase", "result")
            .text("name", &open.name)
            .text("toolCallId", id)
            .boolean("isError", is_error)
            .json("result", &bounded(result));
        self.push_detail(hub, call, now);
        let status = if is_error { "failed" } else { "completed" };
        let item = item(id, open, "end", status)
            .number("endedAt", now.unix_ms)
            .finish();
        self.push_agent(hub, "item", &item, Class::Ordinary, now);
    }

    fn push_detail(&mut self, hub: &mut Hub, data: Object, now: Now) {
        let payload = self.agent_payload("tool", &data.finish(), now);
        hub.broadcast(
            Publication {
                event: "agent",
                payload,
                audience: Audience::Understanding(Scope::Read, TOOL_EVENTS),
                class: Class::Ordinary,
            },
            now,
        );
    }
}

fn item(id: &str, open: &Open, phase: &str, status: &str) -> Object {
    Object::new()
        .text("itemId", &format!("tool:{id}"))
        .text("toolCallId", id)
        .text("name", &open.name)
        .text("kind", "tool")
        .text("phase", phase)
        .text("title", &title(&open.name))
        .text("status", status)
        .number("startedAt", open.started_at)
}

/// A tool's name as a headline.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The detail itself, or how large it is.
fn bounded(detail: &Json) -> Json {
    if detail.len() <= MAX_DETAIL {
        return detail.clone();
    }
    Object::new()
        .boolean("omitted", true)
        .number("bytes", detail.len() as u64)
        .finish()
}
