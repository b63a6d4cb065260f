//! Model checking on demand: every scope, small or large, and every broken variant, with its figures.

use clap::Parser;
use std::process::ExitCode;
use tokenward_model::{Explored, Limits, cluster, shorten, sublease};

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
    let limits = Limits {
        most: arguments.most,
        steps: None,
    };
    let mut good = true;
    let mut scopes = sublease::Scope::small();
    let mut cluster_scopes = cluster::Scope::small();
    if arguments.large {
        scopes.extend(sublease::Scope::large());
        cluster_scopes.extend(cluster::Scope::large());
    }
    let wanted = |name: &str| {
        arguments
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };
    for scope in scopes.into_iter().filter(|scope| wanted(scope.name)) {
        let name = scope.name;
        good &= holds(name, &sublease::explore(scope, limits), arguments.most);
    }
    for broken in sublease::Broken::ALL {
        let name = format!("{broken:?}");
        if wanted(&name) {
            let explore = |limits| sublease::explore(sublease::Scope::breaking(broken), limits);
            good &= is_found(&name, explore, &arguments);
        }
    }
    for scope in cluster_scopes
        .into_iter()
        .filter(|scope| wanted(scope.name))
    {
        let name = scope.name;
        good &= holds(name, &cluster::explore(scope, limits), arguments.most);
    }
    for broken in cluster::Broken::ALL {
        let name = format!("{broken:?}");
        if wanted(&name) {
            let explore = |limits| cluster::explore(cluster::Scope::breaking(broken), limits);
            good &= is_found(&name, explore, &arguments);
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
