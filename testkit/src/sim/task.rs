//! A run that a client cares for, over as many connections as it takes.

use std::time::Duration;

use openclaw_protocol_core::client::{
    Attachment, Connection, Expect, Failure, Hello, Outgoing, RequestId, Step,
};
use openclaw_protocol_core::frame::outgoing::Outcome;
use openclaw_protocol_core::json::Object;
use serde::Deserialize;

use super::history::{End, Note};
use super::log::Log;
use super::peer::{self, Peer};

const WAIT_MS: u64 = 2_000;

pub(super) struct Task {
    number: u32,
    outgoing: Outgoing,
    attachment: Attachment,
    doing: Doing,
    run_id: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Waits for a connection.
    Nothing,
    SendsAt(u64),
    Sent(RequestId),
    AsksAt(u64),
    Asked(RequestId),
    Done,
}

impl Task {
    pub(super) fn due(&self) -> Option<u64> {
        match self.doing {
            Doing::SendsAt(at) | Doing::AsksAt(at) => Some(at),
            Doing::Nothing | Doing::Sent(_) | Doing::Asked(_) | Doing::Done => None,
        }
    }

    fn outgoing(&self) -> Outgoing {
        if !matches!(self.doing, Doing::AsksAt(_)) {
            return self.outgoing.clone();
        }
        let id = self.run_id.as_deref().or(self.attachment.key());
        let params = Object::new()
            .text("runId", id.unwrap_or_default())
            .number("timeoutMs", WAIT_MS);
        Outgoing {
            method: "agent.wait".into(),
            params: Some(params.into()),
            expect: Expect::Reply,
            within: Some(Duration::from_secs(6)),
        }
    }
}

impl Peer {
    /// Begins to care for a run.
    pub(super) fn begin(&mut self, key: u8, log: &mut Log) {
        let number = self.tasks.len() as u32;
        let outgoing = Outgoing {
            method: "agent".into(),
            params: Some(peer::agent(key).into()),
            expect: Expect::Final,
            within: Some(Duration::from_secs(6)),
        };
        log.note(Note::Task(self.index, number));
        self.tasks.push(Task {
            number,
            attachment: Attachment::new(&outgoing),
            outgoing,
            doing: Doing::Nothing,
            run_id: None,
        });
        let is_ready = self.conn.as_ref().is_some_and(Connection::is_ready);
        if let Some(hello) = self.hello.take_if(|_| is_ready) {
            let at = self.tasks.len() - 1;
            self.greet(at, &hello, log);
            self.hello = Some(hello);
        }
        self.drive_tasks(log);
    }

    pub(super) fn greet_tasks(&mut self, hello: Box<Hello>, log: &mut Log) {
        for at in 0..self.tasks.len() {
            if self.tasks[at].doing == Doing::Nothing {
                self.greet(at, &hello, log);
            }
        }
        self.hello = Some(hello);
    }

    fn greet(&mut self, at: usize, hello: &Hello, log: &mut Log) {
        let step = self.tasks[at].attachment.greeted(hello, log.now());
        self.follow(at, step, End::Unknown, log);
    }

    /// Sends what is due.
    pub(super) fn drive_tasks(&mut self, log: &mut Log) {
        if !self.conn.as_ref().is_some_and(Connection::is_ready) {
            return;
        }
        for at in 0..self.tasks.len() {
            let task = &self.tasks[at];
            if task.due().is_none_or(|due| due > log.at()) {
                continue;
            }
            let asks = matches!(task.doing, Doing::AsksAt(_));
            let outgoing = task.outgoing();
            if let Some(request) = self.request(outgoing, log) {
                self.tasks[at].doing = if asks {
                    Doing::Asked(request)
                } else {
                    Doing::Sent(request)
                };
            }
        }
        self.hear(log);
    }

    /// The connection is over: pauses end with it.
    pub(super) fn interrupt_tasks(&mut self, log: &mut Log) {
        for at in 0..self.tasks.len() {
            if self.tasks[at].due().is_some() {
                let step = self.tasks[at].attachment.lost(Failure::Unknown, log.now());
                self.follow(at, step, End::Unknown, log);
            }
        }
    }

    pub(super) fn task_accepted(
        &mut self,
        request: RequestId,
        run_id: Option<String>,
        log: &mut Log,
    ) {
        let Some(at) = self.task_of(request) else {
            return;
        };
        let task = &mut self.tasks[at];
        task.run_id = run_id.or(task.run_id.take());
        let step = task.attachment.accepted();
        if step != Step::Listen {
            self.forget(request, log);
            self.follow(at, step, End::Unknown, log);
        }
    }

    pub(super) fn task_concluded(
        &mut self,
        request: RequestId,
        how: Result<Outcome, Failure>,
        log: &mut Log,
    ) {
        let Some(at) = self.task_of(request) else {
            return;
        };
        let task = &mut self.tasks[at];
        let asked = matches!(task.doing, Doing::Asked(_));
        let now = log.now();
        // What waited too long to be sent on a connection that lives is not saved by another one.
        let is_late =
            how == Err(Failure::NotSent) && self.conn.as_ref().is_some_and(Connection::is_ready);
        if is_late && !asked {
            return self.follow(at, Step::GiveUp, End::NotSent, log);
        }
        let step = match how {
            Err(_) if is_late => task.attachment.waited(None),
            Ok(outcome) if asked => task.attachment.waited(Some(&outcome)),
            Ok(outcome) => task.attachment.finished(&outcome),
            Err(Failure::TimedOut) if asked => task.attachment.waited(None),
            Err(_) if asked => task.attachment.lost(Failure::Unknown, now),
            Err(failure) => task.attachment.lost(failure, now),
        };
        let end = if step == Step::Finish {
            End::Answered
        } else {
            End::Unknown
        };
        self.follow(at, step, end, log);
    }

    fn task_of(&self, request: RequestId) -> Option<usize> {
        self.tasks.iter().position(|task| {
            task.doing == Doing::Sent(request) || task.doing == Doing::Asked(request)
        })
    }

    fn follow(&mut self, at: usize, step: Step, end: End, log: &mut Log) {
        let index = self.index;
        let task = &mut self.tasks[at];
        task.doing = match step {
            Step::Send { after } => Doing::SendsAt(log.at() + after.as_micros() as u64),
            Step::Wait { after } => Doing::AsksAt(log.at() + after.as_micros() as u64),
            Step::Listen => Doing::Nothing,
            Step::Finish | Step::GiveUp => {
                log.note(Note::TaskEnded(index, task.number, end));
                Doing::Done
            }
        };
    }
}

/// The name that an ack gives a run.
pub(super) fn run_id(payload: &openclaw_protocol_core::json::Json) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Ack {
        run_id: String,
    }
    payload.read::<Ack>().ok().map(|ack| ack.run_id)
}
