//! What happens in a world, and when: drawn from a seed, or read from any bytes.

use super::draw::Draw;
use super::history::History;
use super::world;

/// The most steps of a plan.
const MOST_STEPS: usize = 120;
/// The bytes of a plan's head.
const HEAD: usize = 8;
/// The bytes of one step.
const STEP: usize = 4;

/// Everything that decides how a world goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides latencies, jitters and nonces.
    pub seed: u64,
    /// How many clients there are.
    pub clients: u8,
    /// Whether little may wait for a connection, so that pushes are dropped.
    pub is_tight: bool,
    /// Whether runs and what is known under keys survive a restart of the gateway.
    pub keeps_runs: bool,
    /// Whether the gateway takes its time to let somebody in.
    pub decides_late: bool,
    /// What happens, in this order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long after the one before, in microseconds.
    pub after: u64,
    /// What.
    pub op: Op,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A client asks for something.
    Ask(u8, Question),
    /// A client begins a run, or asks for one again, under one of a few keys.
    Run(u8, u8),
    /// A client forgets its oldest request.
    Forget(u8),
    /// A client goes, and does not come back before [`Op::Return`].
    Leave(u8),
    /// A client that went comes back.
    Return(u8),
    /// The gateway pushes something to an audience.
    Publish(u8, u16),
    /// The gateway pushes much at once to an audience.
    Burst(u8, u8),
    /// The gateway's health is another one.
    Health(u8),
    /// A client's link carries nothing towards it for now.
    Stall(u8),
    /// A client's link carries again.
    Flow(u8),
    /// A client's link is dead, and nobody is told.
    HalfOpen(u8),
    /// A client's link breaks; so many of the messages under way still arrive.
    Cut(u8, u8),
    /// The gateway closes a client's connection.
    Close(u8),
    /// The gateway restarts, with a farewell or without, after a while.
    Restart(bool, u8),
    /// A stranger connects and misbehaves.
    Stranger(u8),
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `health`.
    Health,
    /// `system-presence`.
    Presence,
    /// A text of so many times 64 bytes, at once or later.
    Text(u8, bool),
    /// Something that nobody knows.
    Unknown,
    /// `system-event`.
    Announce(u8),
    /// `agent` under one of a few keys, without care for what becomes of it.
    Agent(u8),
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let steps = 24 + draw.below(56) as usize;
        let bytes: Vec<u8> = (0..HEAD + steps * STEP).map(|_| draw.byte()).collect();
        Self::from_bytes(&bytes)
    }

    /// The plan that any bytes are: eight for the world, and then four for each step.
    ///
    /// Whatever they are, it ends soon: bytes after the 120th step are not looked at, there are at
    /// most five clients, a step comes at most 9.6 s of the world after the one before, and no
    /// message that is asked for is larger than a frame.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
        let mut padded = [0; HEAD];
        padded[..head.len()].copy_from_slice(head);
        let [flags, clients, ..] = padded;
        Self {
            seed: u64::from_le_bytes(padded),
            clients: 2 + clients % 4,
            is_tight: flags & 1 != 0,
            keeps_runs: flags & 2 != 0,
            decides_late: flags & 4 != 0,
            steps: rest
                .chunks_exact(STEP)
                .take(MOST_STEPS)
                .map(|step| Step::read([step[0], step[1], step[2], step[3]]))
                .collect(),
        }
    }

    /// Carries it out.
    #[must_use]
    pub fn play(&self) -> History {
        world::play(self)
    }
}

impl Step {
    /// Half of the steps follow at once or nearly so: what happens together is what breaks.
    fn read([what, who, how, when]: [u8; STEP]) -> Self {
        let after = match when {
            0..=63 => 0,
            64..=159 => u64::from(when - 63) * 700,
            160..=239 => u64::from(when - 159) * 19_000,
            240..=255 => u64::from(when - 239) * 600_000,
        };
        Self {
            after,
            op: op(what, who, how),
        }
    }
}

fn op(what: u8, who: u8, how: u8) -> Op {
    match what {
        0..=71 => Op::Ask(who, question(how)),
        72..=107 => Op::Run(who, how),
        108..=113 => Op::Forget(who),
        114..=119 => Op::Leave(who),
        120..=127 => Op::Return(who),
        128..=163 => Op::Publish(who, u16::from(how) * 8),
        164..=175 => Op::Burst(who, how),
        176..=185 => Op::Health(how % 4),
        186..=199 => Op::Stall(who),
        200..=209 => Op::Flow(who),
        210..=213 => Op::HalfOpen(who),
        214..=225 => Op::Cut(who, how),
        226..=231 => Op::Close(who),
        232..=235 => Op::Restart(who & 1 != 0, how),
        236..=255 => Op::Stranger(how),
    }
}

const fn question(how: u8) -> Question {
    match how {
        0..=31 => Question::Health,
        32..=63 => Question::Presence,
        64..=127 => Question::Text(how - 64, how & 1 != 0),
        128..=143 => Question::Unknown,
        144..=191 => Question::Announce(how % 4),
        192..=255 => Question::Agent(how % 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_plan() {
        assert!(Plan::from_bytes(&[]).steps.is_empty());
        assert!(Plan::from_bytes(&[1, 2, 3]).steps.is_empty());
        let all: Vec<u8> = (0..=255).cycle().take(9_000).collect();
        assert_eq!(Plan::from_bytes(&all).steps.len(), MOST_STEPS);
    }
}
