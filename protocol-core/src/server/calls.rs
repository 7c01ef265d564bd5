//! The requests of one connection that wait for their answer.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::fault::PeerFault;
use crate::limits::Limits;

#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeMap<u64, Waiting>,
    last: u64,
    held: usize,
}

#[derive(Debug)]
struct Waiting {
    id: Box<str>,
    size: usize,
    acknowledged: bool,
}

/// What became of an acknowledgement.
pub(super) enum Acknowledged {
    /// It is to be sent under this id.
    Now(Box<str>),
    /// There was one before.
    Before,
    /// The request is gone.
    Gone,
}

impl Calls {
    /// Opens a call, and gives its serial.
    pub(super) fn open(
        &mut self,
        id: Box<str>,
        size: usize,
        limits: &Limits,
    ) -> Result<u64, PeerFault> {
        if self.open.len() >= limits.open_calls {
            return Err(PeerFault::TooManyCalls);
        }
        if self.held + size > limits.open_call_bytes {
            return Err(PeerFault::TooMuchHeld);
        }
        self.last += 1;
        self.held += size;
        let waiting = Waiting {
            id,
            size,
            acknowledged: false,
        };
        self.open.insert(self.last, waiting);
        Ok(self.last)
    }

    pub(super) fn acknowledge(&mut self, serial: u64) -> Acknowledged {
        match self.open.get_mut(&serial) {
            None => Acknowledged::Gone,
            Some(waiting) if waiting.acknowledged => Acknowledged::Before,
            Some(waiting) => {
                waiting.acknowledged = true;
                Acknowledged::Now(waiting.id.clone())
            }
        }
    }

    /// Closes a call; `None` when it is gone already.
    pub(super) fn finish(&mut self, serial: u64) -> Option<Box<str>> {
        let waiting = self.open.remove(&serial)?;
        self.held -= waiting.size;
        Some(waiting.id)
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.held = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The bytes of the requests that wait.
    pub(super) const fn held(&self) -> usize {
        self.held
    }
}
