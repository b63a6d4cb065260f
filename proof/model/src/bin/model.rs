//! Model checking on demand: every scope, small or large, and every broken variant, with its figures.

use clap::{Parser, ValueEnum};
use std::process::ExitCode;
use tokenward_model::{Explored, Limits, Protocol, cluster, shorten, sublease};

/// Explores every interleaving of small worlds over the shipped protocol code.
#[derive(Parser)]
struct Arguments {
    /// The large scopes too: minutes and gigabytes.
    #[arg(long)]
    large: bool,
    /// Give a scope up after this many states, and say so.
    #[arg(long, value_name = "N")]
    most: Option<usize>,
    /// Only scopes and variants whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The steps to each broken variant's broken promise.
    #[arg(long)]
    steps: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sublease = explored::<sublease::Scope>(&arguments);
    let cluster = explored::<cluster::Scope>(&arguments);
    ExitCode::from(u8::from(!(sublease && cluster)))
}

/// Explores the wanted scopes and broken variants of a protocol; whether each came out as it must.
fn explored<P: Protocol>(arguments: &Arguments) -> bool {
    let limits = Limits {
        most: arguments.most,
        steps: None,
    };
    let only = arguments.only.as_deref().unwrap_or_default();
    let mut scopes = P::small();
    if arguments.large {
        scopes.extend(P::large());
    }
    let mut good = true;
    scopes.retain(|scope| scope.name().contains(only));
    for scope in scopes {
        let name = scope.name();
        good &= holds(name, &scope.explore(limits), arguments.most);
    }
    for broken in P::Broken::value_variants() {
        let name = format!("{broken:?}");
        if name.contains(only) {
            let explore = |limits| P::breaking(*broken).explore(limits);
            good &= is_found(&name, explore, arguments);
        }
    }
    good
}

/// Reports a scope of the right protocol.
fn holds(name: &str, explored: &Explored, most: Option<usize>) -> bool {
    let cut = most.is_some_and(|most| explored.states >= most);
    let verdict = match (&explored.violation, cut) {
        (None, false) => "holds, exhaustive",
        (None, true) => "no violation, cut short",
        (Some(_), _) => "BROKEN",
    };
    tell(name, explored, verdict);
    for step in explored.violation.iter().flatten() {
        println!("    {step}");
    }
    explored.violation.is_none()
}

/// Reports a broken variant.
fn is_found(name: &str, explore: impl Fn(Limits) -> Explored, arguments: &Arguments) -> bool {
    let mut explored = explore(Limits::default());
    if arguments.steps {
        explored = shorten(explored, explore);
    }
    let verdict = match &explored.violation {
        Some(steps) => format!("found in {} steps", steps.len()),
        None => "NOT FOUND".to_owned(),
    };
    tell(name, &explored, &verdict);
    if arguments.steps {
        for step in explored.violation.iter().flatten() {
            println!("    {step}");
        }
    }
    explored.violation.is_some()
}

fn tell(name: &str, explored: &Explored, verdict: &str) {
    println!(
        "{name:40} {:>11} states {:>10} unique, depth {:>3}: {verdict}",
        explored.states, explored.unique, explored.depth
    );
}
