//! What a scenario works with: a gateway that we play, the client that was started, and the verdicts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::program::{Exit, Program, TOKEN};
use super::session::Session;
use super::{Job, Options};
use crate::bench::{NOTED, Trouble};
use crate::json::Value;
use crate::object;
use crate::redact::shown;
use crate::verdict::{Verdict, Verdicts};
use crate::wire::{Stop, Wire};

/// How often is looked for a connection, and whether the client has ended.
const LOOK: Duration = Duration::from_millis(10);
/// The most connections of one scenario; past it the client floods.
const MAX_CONNECTIONS: u32 = 2_000;

/// What all conversations with one client know.
#[derive(Debug)]
pub struct Shared {
    /// The secret that the client is given.
    pub token: String,
    keys: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Draws a secret.
    #[must_use]
    pub fn new() -> Self {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos();
        Self {
            token: format!("conformance-{:x}-{nanos:x}", std::process::id()),
            keys: Mutex::default(),
        }
    }

    /// Whether nobody has used a key before.
    pub fn is_fresh(&self, key: &str) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.to_owned())
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

/// One conversation's stage.
#[derive(Debug)]
pub struct Stage<'a> {
    /// How the client is judged.
    pub options: &'a Options,
    /// What all conversations know.
    pub shared: &'a Shared,
    /// The verdicts of this conversation.
    pub verdicts: Verdicts,
    /// The client.
    pub program: Program,
    listener: TcpListener,
    _silent: Option<[TcpStream; 2]>,
    until: Instant,
    transcript: RefCell<String>,
    connections: Cell<u32>,
}

impl<'a> Stage<'a> {
    /// Listens, or sends the client to where nobody listens, and starts the client on a job.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set(
        options: &'a Options,
        shared: &'a Shared,
        job: Job,
        listens: bool,
        within: Duration,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut address = listener.local_addr()?;
        let silent = if listens {
            None
        } else {
            // The port of a connection is one where nobody listens, and nobody can.
            let silent = TcpStream::connect(address)?;
            address = silent.local_addr()?;
            Some((silent, listener.accept()?))
        };
        listener.set_nonblocking(true)?;
        let url = format!("ws://{address}");
        let env = [
            ("OPENCLAW_GATEWAY_URL", url.as_str()),
            (TOKEN, shared.token.as_str()),
            ("OPENCLAW_CONFORMANCE_JOB", job.name()),
        ];
        Ok(Self {
            options,
            shared,
            verdicts: Verdicts::default(),
            program: Program::start(&options.command, &env)?,
            listener,
            _silent: silent.map(|(silent, (accepted, _))| [silent, accepted]),
            until: Instant::now() + within,
            transcript: RefCell::default(),
            connections: Cell::new(0),
        })
    }

    /// What was said.
    pub fn transcript(&self) -> String {
        self.transcript.take()
    }

    /// Writes a line of the transcript; the token is left out.
    pub fn note(&self, connection: u32, mark: &str, text: &str) {
        if self.options.transcripts.is_some() {
            let shown = shown(text, &self.shared.token, NOTED);
            *self.transcript.borrow_mut() += &format!("{connection} {mark} {shown}\n");
        }
    }

    /// Judges a check.
    pub fn check(&self, id: &'static str, kept: bool, why: impl FnOnce() -> String) {
        self.judge(id, if kept { Ok(()) } else { Err(why()) });
    }

    /// Judges a check by what was found.
    pub fn judge(&self, id: &'static str, kept: Result<(), String>) {
        self.verdicts.judge(id, kept);
    }

    /// Says that a check does not concern this client.
    pub fn not_applicable(&self, id: &'static str, why: &str) {
        let verdict = Verdict::NotApplicable(why.to_owned());
        self.verdicts.put(id, verdict);
    }

    /// How long is waited for what must come.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.options.timeout
    }

    /// The instant at which a wait from now ends; no later than the scenario.
    #[must_use]
    pub fn deadline(&self, within: Duration) -> Instant {
        (Instant::now() + within).min(self.until)
    }

    /// Takes the next connection that comes within a time; none where the client ends before.
    ///
    /// # Errors
    /// [`Trouble`] where the client floods.
    pub fn knock(&self, within: Duration) -> Result<Option<Wire>, Trouble> {
        let until = self.deadline(within);
        loop {
            // What it did before it ended counts.
            let ended = self.program.ended().is_some();
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let number = self.connections.get() + 1;
                    self.connections.set(number);
                    self.note(number, "<", "a connection comes");
                    if number > MAX_CONNECTIONS {
                        return Err(Stop::Flood.into());
                    }
                    stream.set_nonblocking(false)?;
                    return Ok(Some(Wire::new(stream)?));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if self.program.floods() {
                return Err(Trouble("the client prints without end".into()));
            }
            if ended || Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(LOOK);
        }
    }

    /// Takes a connection that must come.
    ///
    /// # Errors
    /// [`Trouble`] where none comes.
    pub fn wire(&self) -> Result<Wire, Trouble> {
        self.knock(self.patience())?.ok_or_else(|| {
            Trouble(match self.program.ended() {
                Some(exit) => format!("{exit}, before it connected"),
                None => "the client does not connect in time".to_owned(),
            })
        })
    }

    /// Takes a connection and upgrades it.
    ///
    /// # Errors
    /// [`Trouble`] where none comes, or none that asks for a WebSocket.
    pub fn session(&self) -> Result<Session<'_, 'a>, Trouble> {
        let mut session = Session::new(self, self.wire()?, self.connections.get());
        session.upgrade()?;
        Ok(session)
    }

    /// Takes a connection and lets the client in.
    ///
    /// # Errors
    /// [`Trouble`] where the client does not connect as it should.
    pub fn greeted(&self) -> Result<Session<'_, 'a>, Trouble> {
        let mut session = self.session()?;
        session.greet()?;
        Ok(session)
    }

    /// Waits for the client's end, and listens to it meanwhile.
    ///
    /// # Errors
    /// [`Trouble`] where it does not end.
    pub fn end_of(&self, session: &mut Session<'_, '_>) -> Result<Exit, Trouble> {
        self.ended_within(session, self.patience())?
            .ok_or_else(|| Trouble("the client does not end in time".into()))
    }

    /// Waits for the client's end for a time, and listens to it meanwhile.
    ///
    /// # Errors
    /// [`Trouble`] where the client floods.
    pub fn ended_within(
        &self,
        session: &mut Session<'_, '_>,
        within: Duration,
    ) -> Result<Option<Exit>, Trouble> {
        let until = self.deadline(within);
        loop {
            session.listen(LOOK)?;
            if let Some(exit) = self.program.ended() {
                // What it said before it ended is still to be read.
                session.listen(Duration::from_millis(50))?;
                return Ok(Some(exit));
            }
            if Instant::now() >= until || self.program.floods() {
                return Ok(None);
            }
        }
    }

    /// The answer to `health`, with a mark that the client has to print.
    #[must_use]
    pub fn health(&self) -> Value {
        object! {"ok": true, "ts": super::hello::now_ms(), "mark": MARK}
    }
}

/// What marks the answer that a client has to print.
pub const MARK: &str = "the answer";
