//! Asking before an act that breaks something. Without a person to ask and without `--yes` the
//! answer is no.

use super::error::CliError;
use std::io::{BufRead, IsTerminal as _, Write};

/// `--yes`, on the commands that break something.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Sure {
    /// Do not ask: for unattended use.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

/// What counts as agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreement<'a> {
    /// The word `yes`.
    Yes,
    /// This text, typed back.
    Typed(&'a str),
}

impl Sure {
    /// Asks for the word `yes`, for commands of the server's own machine.
    ///
    /// # Errors
    /// A sentence, unless the answer was yes.
    pub fn confirm(self, impact: &str) -> Result<(), String> {
        self.ask(impact, Agreement::Yes)
            .map_err(|error| match error {
                CliError::Failed(why) => why,
                other => other.report(false).unwrap_or_default(),
            })
    }

    /// Shows what would happen and returns only if that is wanted.
    pub(crate) fn ask(self, impact: &str, agreement: Agreement<'_>) -> Result<(), CliError> {
        let person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        ask(
            impact,
            agreement,
            self.yes,
            person,
            std::io::stdin().lock(),
            std::io::stderr().lock(),
        )
    }
}

fn ask(
    impact: &str,
    agreement: Agreement<'_>,
    yes: bool,
    person: bool,
    mut input: impl BufRead,
    mut output: impl Write,
) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    // Nothing can be done about a person who does not listen.
    let _ = writeln!(output, "{impact}");
    if !person {
        return Err(CliError::Failed(
            "nothing was done: standard input is not a terminal, so you can't be asked. Give --yes to confirm"
                .to_owned(),
        ));
    }
    let wanted = match agreement {
        Agreement::Yes => {
            let _ = write!(output, "Continue? Type yes: ");
            "yes"
        }
        Agreement::Typed(text) => {
            let _ = write!(output, "Continue? Type {text:?}: ");
            text
        }
    };
    let _ = output.flush();
    let mut typed = String::new();
    let read = input.read_line(&mut typed);
    if read.is_ok() && typed.trim_end_matches(['\n', '\r']) == wanted {
        return Ok(());
    }
    Err(CliError::Failed(
        "nothing was done: the answer did not match".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_words_of_a_person_count() {
        let check =
            |yes: bool, person: bool, agreement: Agreement<'_>, typed: &str, goes_on: bool| {
                let mut shown = Vec::new();
                let outcome = ask(
                    "the impact",
                    agreement,
                    yes,
                    person,
                    typed.as_bytes(),
                    &mut shown,
                );
                assert_eq!(outcome.is_ok(), goes_on, "{agreement:?} {typed:?}");
                assert_eq!(
                    shown.starts_with(b"the impact\n"),
                    !yes,
                    "whoever is asked is told; with --yes a script's log stays short"
                );
            };
        let label = Agreement::Typed("erp south");
        check(false, true, Agreement::Yes, "yes\n", true);
        check(false, true, Agreement::Yes, "yes\r\n", true);
        check(false, true, Agreement::Yes, "y\n", false);
        check(false, true, Agreement::Yes, "", false);
        check(false, true, label, "erp south\n", true);
        check(false, true, label, "yes\n", false);
        check(false, true, label, "erp  south\n", false);
        check(false, false, Agreement::Yes, "yes\n", false);
        check(true, false, label, "", true);
    }
}
