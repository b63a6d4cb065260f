//! Model checking on demand: every scope, small or large, and every broken variant, with its figures.

use clap::Parser;
use std::process::ExitCode;
use tokenward_model::sublease::{Broken, Explored, Scope, explore};

/// Explores every interleaving of small worlds over the shipped protocol code.
#[derive(Parser)]
struct Arguments {
    /// The large scopes too: minutes and gigabytes.
    #[arg(long)]
    large: bool,
    /// Give a scope up after this many states, and say so.
    #[arg(long, value_name = "N")]
    most: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut scopes = Scope::small();
    if arguments.large {
        scopes.extend(Scope::large());
    }
    let mut good = true;
    for scope in scopes {
        let name = scope.name;
        let explored = explore(scope, arguments.most);
        let cut = arguments.most.is_some_and(|most| explored.states >= most);
        let verdict = match (&explored.violation, cut) {
            (None, false) => "holds, exhaustive",
            (None, true) => "no violation, cut short",
            (Some(_), _) => "BROKEN",
        };
        good &= explored.violation.is_none();
        tell(name, &explored, verdict);
    }
    for broken in Broken::ALL {
        let explored = explore(Scope::breaking(broken), None);
        let verdict = match &explored.violation {
            Some(steps) => format!("found in {} steps", steps.len()),
            None => "NOT FOUND".to_owned(),
        };
        good &= explored.violation.is_some();
        tell(&format!("{broken:?}"), &explored, &verdict);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(name: &str, explored: &Explored, verdict: &str) {
    println!(
        "{name:40} {:>11} states {:>10} unique, depth {:>3}: {verdict}",
        explored.states, explored.unique, explored.depth
    );
}
