//! Many connections on one thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::target::Target;
use crate::wire::{Heard, Peer, text};

/// How long anything may take before the run is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const SCRATCH: usize = 64 << 10;
/// How many handshakes are under way at once where only their end matters.
const WINDOW: usize = 128;

/// The load generator.
pub(crate) struct Load {
    epoll: OwnedFd,
    target: Target,
    connect: Arc<[u8]>,
    pub(crate) peers: Vec<Peer>,
    ready: Vec<epoll::Event>,
    scratch: Vec<u8>,
}

impl Load {
    /// A load generator without connections, whose peers ask for `scopes`.
    pub(crate) fn new(target: &Target, scopes: &[&str]) -> io::Result<Self> {
        let connect = serde_json::json!({
            "type": "req", "id": "c", "method": "connect", "params": {
                "minProtocol": 4, "maxProtocol": 4,
                "client": {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"},
                "role": "operator", "scopes": scopes, "auth": {"token": target.token},
            }
        });
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            target: target.clone(),
            connect: text(&connect.to_string()).into(),
            peers: Vec::new(),
            ready: Vec::with_capacity(256),
            scratch: vec![0; SCRATCH],
        })
    }

    /// Opens connections until there are so many, and waits for their hellos.
    pub(crate) fn open(&mut self, count: usize) -> io::Result<()> {
        let mut shaken = self.peers.len();
        let late = Instant::now() + PATIENCE.max(Duration::from_millis(10) * count as u32);
        while shaken < count {
            while self.peers.len() < count && self.peers.len() - shaken < WINDOW {
                let peer = self.dial()?;
                self.add(self.peers.len(), &peer)?;
                self.peers.push(peer);
            }
            shaken += self.turn(late, |_, _, heard| Ok(usize::from(heard == Heard::Hello)))?;
        }
        Ok(())
    }

    /// Begins a connection that takes the place of another one.
    pub(crate) fn replace(&mut self, index: usize) -> io::Result<()> {
        let peer = self.dial()?;
        self.add(index, &peer)?;
        self.peers[index] = peer;
        Ok(())
    }

    /// Begins one more connection.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        let peer = self.dial()?;
        self.add(self.peers.len(), &peer)?;
        self.peers.push(peer);
        Ok(())
    }

    fn dial(&self) -> io::Result<Peer> {
        Peer::open(self.target.address, Arc::clone(&self.connect))
    }

    fn add(&self, index: usize, peer: &Peer) -> io::Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &peer.stream, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Waits for something to read, and hands over all that is heard, with the moment at which it
    /// was read; returns the sum of what `on` returned.
    pub(crate) fn turn(
        &mut self,
        late: Instant,
        mut on: impl FnMut(usize, Instant, Heard) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let left = late.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        self.ready.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&timeout))?;
        if self.ready.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        let mut sum = 0;
        for event in &self.ready {
            let index = event.data.u64() as usize;
            let peer = &mut self.peers[index];
            peer.fill(&mut self.scratch)?;
            let at = Instant::now();
            while let Some(heard) = peer.heard()? {
                sum += on(index, at, heard)?;
            }
        }
        Ok(sum)
    }

    /// Reads and throws away for a while.
    pub(crate) fn rest(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        loop {
            match self.turn(until, |_, _, _| Ok(0)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
