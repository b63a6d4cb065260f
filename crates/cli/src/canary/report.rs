//! What is told of a round: a line for a person, JSON for a program, figures for Prometheus. No token is
//! in any of them, only its generation.

use super::super::error::CliError;
use super::super::output::Output;
use super::round::Verdict;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use tokenward_core::time::Clock;
use tokenward_system::SystemClock;

/// The rounds so far.
#[derive(Default)]
pub(super) struct Tally {
    rounds: u64,
    unclear: u64,
    /// Rounds in which an old token was accepted.
    pub(super) alarms: u64,
    accepted: u64,
    refused_after_seconds: Option<f64>,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, verdict: &Verdict) {
        self.rounds += 1;
        match verdict {
            Verdict::Shown {
                accepted,
                refused_after,
                ..
            } => {
                self.alarms += u64::from(verdict.is_alarm());
                self.accepted += u64::from(*accepted);
                self.refused_after_seconds = refused_after.map(|after| after.as_secs_f64());
            }
            Verdict::Unclear(_) => self.unclear += 1,
        }
    }

    fn text(&self, now_seconds: i64) -> String {
        let mut text = String::new();
        let mut figure = |name: &str, help: &str, value: String| {
            let kind = match name.ends_with("_total") {
                true => "counter",
                false => "gauge",
            };
            let name = format!("tokenward_canary_{name}");
            text.push_str(&format!(
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            ));
        };
        let mut count = |name, help, count: u64| figure(name, help, count.to_string());
        count("rounds_total", "Rounds run", self.rounds);
        let help = "Rounds that proved nothing";
        count("unclear_rounds_total", help, self.unclear);
        let help = "Rounds in which a revoked token was accepted";
        count("alarms_total", help, self.alarms);
        let help = "Requests with a revoked token that were accepted";
        count("accepted_total", help, self.accepted);
        if let Some(seconds) = self.refused_after_seconds {
            let help = "From a revocation until the old token was seen refused, in the last round that saw it";
            figure("refused_after_seconds", help, format!("{seconds:.6}"));
        }
        let help = "When the last round ended";
        figure(
            "last_round_timestamp_seconds",
            help,
            now_seconds.to_string(),
        );
        text
    }

    /// Replaces the file, so that a reader never finds half of one.
    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let failed = |error| CliError::Failed(format!("{}: {error}", path.display()));
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let text = self.text(SystemClock.wall().unix_seconds());
        std::fs::write(&name, text)
            .and_then(|()| std::fs::rename(&name, path))
            .map_err(failed)
    }
}

/// Tells of one round: on standard output, and an alarm on standard error too.
pub(super) fn tell(out: &Output, verdict: &Verdict) -> Result<(), CliError> {
    if verdict.is_alarm() {
        // Whoever reads only errors must hear of it; if nobody does, the exit code remains.
        let _ = writeln!(std::io::stderr(), "ALARM: {}", sentence(verdict));
    }
    match out.json {
        true => out.line(&document(verdict).to_string()),
        false => out.line(&sentence(verdict)),
    }
}

fn sentence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Shown {
            generation,
            accepted,
            refused_after,
        } => {
            let after =
                refused_after.map(|after| format!("{:.1} ms after", after.as_secs_f64() * 1000.0));
            match (accepted, after) {
                (0, after) => format!(
                    "generation {generation} was refused at once, seen {} its revocation",
                    after.unwrap_or_default()
                ),
                (times, after) => format!(
                    "generation {generation} was accepted {times} times after its revocation, {}",
                    after.map_or("and is still".to_owned(), |after| format!("until {after}"))
                ),
            }
        }
        Verdict::Unclear(why) => format!("nothing proved: {why}"),
    }
}

fn document(verdict: &Verdict) -> Value {
    let at = SystemClock.wall().iso();
    match verdict {
        Verdict::Shown {
            generation,
            accepted,
            refused_after,
        } => json!({
            "at": at, "verdict": if verdict.is_alarm() { "accepted" } else { "refused" },
            "generation": generation, "accepted": accepted,
            "refused_after_seconds": refused_after.map(|after| after.as_secs_f64()),
        }),
        Verdict::Unclear(why) => json!({ "at": at, "verdict": "unclear", "why": why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const REFUSED: Verdict = Verdict::Shown {
        generation: 7,
        accepted: 0,
        refused_after: Some(Duration::from_micros(1_234)),
    };
    const ACCEPTED: Verdict = Verdict::Shown {
        generation: 8,
        accepted: 3,
        refused_after: None,
    };

    #[test]
    fn each_verdict_is_told_in_a_line() {
        let unclear = Verdict::Unclear("nobody answered".to_owned());
        let lines: Vec<String> = [&REFUSED, &ACCEPTED, &unclear].map(sentence).into();
        insta::assert_snapshot!(lines.join("\n"), @r"
        generation 7 was refused at once, seen 1.2 ms after its revocation
        generation 8 was accepted 3 times after its revocation, and is still
        nothing proved: nobody answered
        ");
        assert_eq!(document(&ACCEPTED)["refused_after_seconds"], Value::Null);
        assert_eq!(document(&REFUSED)["verdict"], "refused");
    }

    #[test]
    fn figures_count_what_was_seen() {
        let mut tally = Tally::default();
        tally.add(&REFUSED);
        tally.add(&ACCEPTED);
        tally.add(&Verdict::Unclear(String::new()));
        let text = tally.text(1_795_428_930);
        for line in [
            "tokenward_canary_rounds_total 3",
            "tokenward_canary_unclear_rounds_total 1",
            "tokenward_canary_alarms_total 1",
            "tokenward_canary_accepted_total 3",
            "tokenward_canary_last_round_timestamp_seconds 1795428930",
        ] {
            assert!(text.lines().any(|its| its == line), "{line} in {text}");
        }
        // Of the last round, which saw no refusal.
        assert!(!text.contains("refused_after_seconds 0"));
    }
}
