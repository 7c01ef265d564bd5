//! What the owner and the task of one socket share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Instant;

use async_channel::Sender;
use atomic_waker::AtomicWaker;
use openclaw_protocol_core::fault::PeerFault;
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::frame::outgoing::Transmit;
use openclaw_protocol_core::hub::Peer;
use openclaw_protocol_core::server::ConnId;

use super::intake::{Intake, Portion};

/// The most frames of one socket that wait for the owner; then the socket is not read.
const MAX_FRAMES: usize = 32;
/// The most bytes of one socket that wait for the owner; one whole frame always passes.
const MAX_BYTES: usize = 1 << 20;

/// What the task of a socket tells the owner.
pub(crate) enum FromSocket {
    /// A socket was upgraded.
    Open { peer: Peer, link: Link },
    /// The peer sent a message.
    Frame { conn: ConnId, inbound: Inbound },
    /// The peer broke a rule of the transport.
    Fault { conn: ConnId, fault: PeerFault },
    /// Bytes came, and when, that are no message yet.
    Activity { conn: ConnId, at: Instant },
    /// All sockets together hold more than they may.
    Pressed,
    /// The last batch is written.
    Sent { conn: ConnId },
    /// The socket is gone.
    Gone { conn: ConnId },
}

/// What the owner gives the task of a socket: things to send, in order.
pub(crate) struct Batch {
    pub(crate) conn: ConnId,
    /// Whether the peer has had its hello.
    pub(crate) admitted: bool,
    pub(crate) transmits: Vec<Transmit>,
}

/// The owner's end of a socket. Dropping it ends the socket.
pub(crate) struct Link {
    pub(crate) batches: Sender<Batch>,
    pub(crate) gate: Arc<Gate>,
    /// Whether a batch is being written.
    pub(crate) writing: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.gate.end();
    }
}

/// Stops a socket from being read while too much of it waits, or while its peer is being decided
/// on; asks its task for pings; and ends it, whatever it waits for.
#[derive(Debug)]
pub(crate) struct Gate {
    frames: AtomicUsize,
    pub(crate) portion: Portion,
    shut: AtomicBool,
    ended: AtomicBool,
    ping: AtomicBool,
    waker: AtomicWaker,
}

impl Gate {
    pub(crate) const fn new(intake: Arc<Intake>) -> Self {
        Self {
            frames: AtomicUsize::new(0),
            portion: Portion::new(intake),
            shut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            ping: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// The socket hands a frame over.
    pub(crate) fn take(&self, bytes: usize) {
        self.frames.fetch_add(1, Ordering::AcqRel);
        self.portion.take(bytes);
    }

    /// The owner has dealt with a frame.
    pub(crate) fn give_back(&self, bytes: usize) {
        let frames = self.frames.fetch_sub(1, Ordering::AcqRel);
        let bytes = self.portion.give_back(bytes);
        // Where it was open nobody waits for it, and to wake the task costs it a look at its socket.
        if frames >= MAX_FRAMES || bytes >= MAX_BYTES {
            self.waker.wake();
        }
    }

    /// Nothing is read until [`Self::open`].
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
    }

    pub(crate) fn open(&self) {
        if self.shut.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// A ping is due while a batch is being written.
    pub(crate) fn ask_for_ping(&self) {
        self.ping.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether a ping was asked for.
    pub(crate) fn take_ping(&self) -> bool {
        self.ping.load(Ordering::Acquire) && self.ping.swap(false, Ordering::AcqRel)
    }

    /// The owner has let go of the socket.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Has the task woken when the gate opens or the owner lets go, which is said now if it has
    /// happened already.
    pub(crate) fn watch(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the socket may be read; a task that was told no has to [`Self::watch`].
    pub(crate) fn is_open(&self) -> bool {
        !self.shut.load(Ordering::Acquire)
            && self.frames.load(Ordering::Acquire) < MAX_FRAMES
            && self.portion.messages() < MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Arc::new(Intake::new(usize::MAX)))
    }

    #[test]
    fn one_whole_frame_always_passes() {
        let gate = gate();
        assert!(gate.is_open());
        gate.take(25 << 20);
        assert!(!gate.is_open());
        gate.give_back(25 << 20);
        assert!(gate.is_open());
    }

    #[test]
    fn dropping_the_link_ends_the_socket() {
        let gate = Arc::new(gate());
        let link = Link {
            batches: async_channel::bounded(1).0,
            gate: Arc::clone(&gate),
            writing: false,
        };
        let cx = Context::from_waker(std::task::Waker::noop());
        assert!(!gate.watch(&cx));
        drop(link);
        assert!(gate.watch(&cx));
    }

    #[test]
    fn the_task_is_woken_only_where_the_gate_was_closed() {
        let woken = Arc::new(Count::default());
        let waker = std::task::Waker::from(Arc::clone(&woken));
        let gate = gate();
        gate.watch(&Context::from_waker(&waker));
        gate.take(1);
        gate.give_back(1);
        assert_eq!(woken.0.load(Ordering::Acquire), 0);
        for _ in 0..MAX_FRAMES {
            gate.take(1);
        }
        gate.give_back(1);
        assert_eq!(woken.0.load(Ordering::Acquire), 1);
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[test]
    fn many_small_frames_shut_it_too() {
        let gate = gate();
        for _ in 0..MAX_FRAMES {
            assert!(gate.is_open());
            gate.take(1);
        }
        assert!(!gate.is_open());
    }
}
