//! How tasks come back to the application.

use std::fmt;

use async_channel::{Receiver, Sender, TrySendError};

/// The most commands that wait; whoever sends one more waits for room.
const MAX_COMMANDS: usize = 256;

/// Brings commands to the application from anywhere.
pub struct Handle<C> {
    commands: Sender<C>,
    last_words: Sender<C>,
}

impl<C> Handle<C> {
    /// A handle whose commands somebody else takes than a running server: for driving an
    /// application by hand, in tests above all.
    #[must_use]
    pub fn detached() -> (Self, Detached<C>) {
        let (commands, command_queue) = async_channel::bounded(MAX_COMMANDS);
        let (last_words, last_words_queue) = async_channel::unbounded();
        let handle = Self {
            commands,
            last_words,
        };
        let detached = Detached {
            commands: command_queue,
            last_words: last_words_queue,
        };
        (handle, detached)
    }

    /// Sends a command; waits while too many wait already.
    ///
    /// # Errors
    /// [`HandleClosed`] when the gateway has stopped.
    pub async fn send(&self, command: C) -> Result<(), HandleClosed> {
        self.commands.send(command).await.map_err(|_| HandleClosed)
    }

    /// Sends a command that must arrive and cannot wait, such as what a task leaves behind when it
    /// is dropped. Whoever uses it sends a bounded number of them.
    ///
    /// # Errors
    /// [`HandleClosed`] when the gateway has stopped.
    pub fn send_last_words(&self, command: C) -> Result<(), HandleClosed> {
        match self.last_words.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => Err(HandleClosed),
        }
    }
}

/// The commands of a [`Handle::detached`].
#[derive(Debug)]
pub struct Detached<C> {
    pub(super) commands: Receiver<C>,
    pub(super) last_words: Receiver<C>,
}

impl<C> Detached<C> {
    /// Takes the next command, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<C> {
        let command = self.commands.try_recv();
        command.or_else(|_| self.last_words.try_recv()).ok()
    }
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            last_words: self.last_words.clone(),
        }
    }
}

impl<C> fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The gateway has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleClosed;

impl fmt::Display for HandleClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the gateway has stopped")
    }
}

impl std::error::Error for HandleClosed {}
