//! How much waits.

use std::collections::BTreeMap;

use super::{Broken, broken, hears, is_push, is_response, text};
use crate::sim::history::{Guest, History, Note, Socket};

#[derive(Default)]
struct Queue {
    guest: Option<Guest>,
    pushes: BTreeMap<u64, usize>,
    replies: Vec<(String, usize)>,
    is_over: bool,
}

impl Queue {
    fn bytes(&self) -> usize {
        let replies = self.replies.iter().map(|(_, bytes)| bytes);
        self.pushes.values().chain(replies).sum()
    }
}

/// Once the gateway has come to rest, what must still be said on a socket is within its bounds;
/// pushes that may have been dropped do not count.
pub(super) fn what_waits_is_bounded(history: &History) -> Result<(), Broken> {
    let mut queues: BTreeMap<Socket, Queue> = BTreeMap::new();
    for (entry, noted) in history.entries.iter().enumerate() {
        match &noted.note {
            Note::Admitted(socket, guest) => {
                queues.entry(*socket).or_default().guest = Some(guest.clone());
            }
            Note::Published {
                boot,
                number,
                family,
                droppable: false,
                bytes,
            } => {
                for (_, queue) in queues.iter_mut().filter(|(socket, _)| socket.boot == *boot) {
                    if queue
                        .guest
                        .as_ref()
                        .is_some_and(|guest| hears(guest, *family))
                    {
                        queue.pushes.insert(*number, *bytes);
                    }
                }
            }
            Note::Replied(socket, id, bytes) => {
                let queue = queues.entry(*socket).or_default();
                queue.replies.push((id.clone(), *bytes));
            }
            Note::Said(socket, message) => {
                let Some(queue) = queues.get_mut(socket) else {
                    continue;
                };
                if is_push(message) {
                    let number = message.value["payload"]["n"].as_u64();
                    number.and_then(|number| queue.pushes.remove(&number));
                } else if is_response(message) {
                    let id = text(&message.value, "id");
                    if let Some(at) = queue.replies.iter().position(|(reply, _)| reply == id) {
                        queue.replies.remove(at);
                    }
                }
            }
            Note::Fault(socket, "LIM-004" | "LIV-001")
            | Note::Dismissed(socket)
            | Note::Closing(socket, ..)
            | Note::Ended(socket) => {
                queues.entry(*socket).or_default().is_over = true;
            }
            Note::Down(boot) => queues.retain(|socket, _| socket.boot != *boot),
            Note::Settled => {
                let open = queues.iter().filter(|(_, queue)| !queue.is_over);
                for (socket, queue) in open {
                    if queue.bytes() > history.outbox {
                        let how = format!("{socket:?} holds {}", queue.bytes());
                        return broken("what waits is bounded", entry, how);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
