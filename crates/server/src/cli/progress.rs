//! One line on a terminal that says how far a long work is. On anything but a terminal: nothing.

use std::io::{IsTerminal as _, Write as _};

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
