//! Long work: one line on a terminal that says how far it is (on anything but a terminal: nothing), and waiting.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// A line that is written over again and again.
pub(crate) struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// On standard error, if that is a terminal.
    pub(crate) fn on_stderr() -> Progress {
        Progress {
            shown: false,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Shows a text in place of the one before.
    pub(crate) fn show(&mut self, text: &str) {
        if self.terminal {
            // A terminal that takes no progress is no reason to stop the work.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
            self.shown = true;
        }
    }

    /// Takes the line away, before anything else is written.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.shown = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Waits before the same request is sent again.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line's one home of waiting: the server names the pause, or there is nothing to wait for"
)]
pub(crate) async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}
