//! What the reader sees: chapters, calls and their answers, in colour on a terminal and plainly elsewhere; and surprises,
//! which are panics.

use std::{
    fmt::Display,
    io::Write as _,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};

const TITLE: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Shows a panic as a surprise: what was not as the contract says, and which line of the walk noticed.
pub(crate) fn show_surprises() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no text");
        let mut out = anstream::stderr().lock();
        // A reader that is gone is no reason to fail in another way.
        let _ = writeln!(out, "\n{BAD}✗ surprise:{BAD:#} {what}");
        if let Some(place) = panic.location() {
            let _ = writeln!(out, "{FAINT}noticed at {place}{FAINT:#}");
        }
    }));
}

/// Runs from its making on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo's clock: it tells the reader how long things took"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The narrator.
pub(crate) struct Story {
    chapters: usize,
    seen: usize,
    watch: Stopwatch,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            chapters: 0,
            seen: 0,
            watch: Stopwatch::start(),
        }
    }

    /// Begins a chapter with a sentence on what it shows.
    pub(crate) fn chapter(&mut self, title: &str, sentence: impl Display) {
        self.chapters += 1;
        let number = self.chapters;
        line(format_args!(
            "\n{TITLE}{number:>2}. {title}{TITLE:#}\n    {FAINT}{sentence}{FAINT:#}"
        ));
    }

    /// Tells an answer that was as expected: who did what, and what came back.
    pub(crate) fn saw(&mut self, did: &str, came_back: impl Display) {
        self.seen += 1;
        line(format_args!(
            "    {GOOD}✓{GOOD:#} {did:<60} {STRONG}{came_back}{STRONG:#}"
        ));
    }

    /// The end of the walk.
    pub(crate) fn summary(&self) {
        let Self { chapters, seen, .. } = self;
        let seconds = self.watch.elapsed().as_secs_f64();
        line(format_args!(
            "\n{GOOD}The walk is done: {chapters} chapters, {seen} answers, every one as the contract says, \
             in {seconds:.1} s.{GOOD:#}"
        ));
    }

    /// Everything has ended: the parts that ran, and the name of the unattended walk that passed.
    pub(crate) fn done(&self, parts: &str, passed: Option<&str>) {
        let passed = passed.map_or_else(
            || "\n".to_owned(),
            |name| format!("{GOOD}{name} passed.{GOOD:#} "),
        );
        line(format_args!(
            "{passed}{parts} have ended, their data is removed."
        ));
    }
}

/// Tells a fact that no answer of the server hangs on.
pub(crate) fn note(text: impl Display) {
    line(format_args!("      {FAINT}{text}{FAINT:#}"));
}

/// Text as it is.
pub(crate) fn plain(text: impl Display) {
    line(format_args!("{text}"));
}

/// A heading outside the chapters.
pub(crate) fn heading(text: &str) {
    line(format_args!("\n{TITLE}{text}{TITLE:#}"));
}

fn line(text: std::fmt::Arguments<'_>) {
    // A reader who closed the pipe has seen enough; the walk's outcome is its exit code.
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// A credential, shortened for the reader's eye.
pub(crate) fn shortened(credential: &str) -> String {
    let count = credential.chars().count();
    if count <= 40 {
        return credential.to_owned();
    }
    let head: String = credential.chars().take(28).collect();
    let tail: String = credential.chars().skip(count - 4).collect();
    format!("{head}...{tail}")
}
