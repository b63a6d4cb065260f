//! Environment variables: an empty one is an unset one, and one that nothing reads is reported.

use super::written::meant;
use clap::builder::Resettable;
use std::collections::BTreeSet;

/// What every variable of ours begins with.
const PREFIX: &str = "TOKENWARD_";
/// Variables that are read though they belong to no flag.
const WITHOUT_FLAG: [&str; 2] = ["TOKENWARD_ADMIN_KEY", "TOKENWARD_BOOTSTRAP_ADMIN_KEY"];
/// Those of the agent, which may share an environment file with the server.
const AGENT: &str = "TOKENWARD_AGENT_";

/// Makes flags ignore variables that are empty or blank, as Compose and Helm set them for what is not configured, and
/// removes blanks around a value.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the reader of flags and their variables is here; it only decides which it may see"
)]
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    with(command, &|name| std::env::var(name).ok())
}

fn with(command: clap::Command, value: &dyn Fn(&str) -> Option<String>) -> clap::Command {
    let command = command.mut_args(|argument| {
        let name = argument.get_env().and_then(std::ffi::OsStr::to_str);
        // What is no text is the parser's to refuse.
        let Some(value) = name.and_then(value) else {
            return argument;
        };
        match value.trim() {
            "" => argument.env(Resettable::Reset),
            // Lists are trimmed item by item when they are read.
            trimmed if trimmed == value || argument.get_value_delimiter().is_some() => argument,
            // A variable's value can't be replaced; a default stands below flags and above the file as it does.
            trimmed => {
                let trimmed = trimmed.to_owned();
                argument.env(Resettable::Reset).default_value(trimmed)
            }
        }
    });
    command.mut_subcommands(|command| with(command, value))
}

/// OpenTelemetry's own variable for the address of the collector.
pub(super) const OPENTELEMETRY_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The collector that the variable of OpenTelemetry names, for all programs of the machine.
#[expect(clippy::disallowed_methods, reason = "the reader of variables is here")]
pub(super) fn opentelemetry_endpoint() -> Option<String> {
    let value = std::env::var(OPENTELEMETRY_ENDPOINT).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Warnings about variables that begin with `TOKENWARD_` and that nothing reads, one sentence each. `command` is the
/// whole command line, whose flags name those that are read.
#[must_use]
pub fn unknown_variables(command: &clap::Command) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown(names, &known(command))
}

fn known(command: &clap::Command) -> BTreeSet<String> {
    fn walk(command: &clap::Command, into: &mut BTreeSet<String>) {
        let names = command.get_arguments().filter_map(clap::Arg::get_env);
        into.extend(names.filter_map(|name| name.to_str().map(str::to_owned)));
        command
            .get_subcommands()
            .for_each(|command| walk(command, into));
    }
    let mut names = BTreeSet::from(WITHOUT_FLAG.map(str::to_owned));
    walk(command, &mut names);
    names
}

fn unknown(names: impl Iterator<Item = String>, known: &BTreeSet<String>) -> Vec<String> {
    let ours = |name: &String| {
        name.starts_with(PREFIX)
            && !name.starts_with(AGENT)
            && !known.contains(name)
            && !of_kubernetes(name)
    };
    // What all begin with says nothing about how alike they are.
    let rest = |name: &'_ str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let ends: Vec<String> = known.iter().map(|name| rest(name)).collect();
    let sentence = |name: String| match meant(&rest(&name), ends.iter().map(String::as_str)) {
        Some(end) => {
            format!("the environment variable {name} is not read. Did you mean {PREFIX}{end}?")
        }
        None => format!("the environment variable {name} is not read"),
    };
    let mut names: Vec<String> = names.filter(ours).collect();
    names.sort_unstable();
    names.into_iter().map(sentence).collect()
}

/// Whether Kubernetes sets a variable of this name for a service called `tokenward` or `tokenward-something`.
fn of_kubernetes(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    ends.iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || (name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, Command};

    fn command(set: &'static [(&'static str, &'static str)]) -> Command {
        let argument = |name: &'static str| Arg::new(name).long(name).env(name);
        let verb = Command::new("verb")
            .arg(argument("A"))
            .arg(argument("B"))
            .arg(argument("LIST").value_delimiter(','));
        let value = |name: &str| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        with(Command::new("x").subcommand(verb), &value)
    }

    #[test]
    fn empty_variable_is_unset_and_blanks_are_trimmed() {
        let command = command(&[("A", "  "), ("B", " b \n"), ("LIST", " 1, 2")]);
        let verb = command.find_subcommand("verb").unwrap();
        let of = |name: &str| {
            verb.get_arguments()
                .find(|one| one.get_id() == name)
                .unwrap()
        };
        assert_eq!(
            (of("A").get_env(), of("A").get_default_values().len()),
            (None, 0)
        );
        assert_eq!(of("B").get_default_values(), ["b"]);
        assert!(of("LIST").get_env().is_some() && of("LIST").get_default_values().is_empty());
    }

    #[test]
    fn unknown_variable_is_named_with_the_one_that_was_meant() {
        let known = BTreeSet::from(["TOKENWARD_TRUSTED_PROXY", "TOKENWARD_LOG"].map(str::to_owned));
        let told = |name: &str| unknown([name.to_owned()].into_iter(), &known);
        assert!(
            told("TOKENWARD_TRUSTED_PROXIES")[0].ends_with("Did you mean TOKENWARD_TRUSTED_PROXY?")
        );
        assert_eq!(
            told("TOKENWARD_XYZZY"),
            ["the environment variable TOKENWARD_XYZZY is not read"]
        );
        let words = "
            TOKENWARD_LOG TOKENWARD_AGENT_CONFIG HOME TOKENWARD_SERVICE_HOST TOKENWARD_PORT
            TOKENWARD_PORT_8080_TCP_ADDR TOKENWARD_INTERNAL_SERVICE_PORT_HTTP";
        for fine in words.split_whitespace() {
            assert!(told(fine).is_empty(), "{fine}");
        }
    }
}
