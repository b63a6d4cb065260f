//! Model checking of Tokenward's protocols: the very state machines that ship, in a small world where
//! messages are late, lost, doubled and out of order, clocks stand still and processes die, and where
//! every interleaving is looked at.
//!
//! Nothing here reimplements a protocol: a broken variant is a world that mistreats the same machines.

pub mod cluster;
pub mod sublease;

use stateright::{Checker, Model};
use std::fmt::Debug;
use std::hash::Hash;

/// How far a scope is explored: all of it unless it is said otherwise, or until a promise is broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// States.
    pub most: Option<usize>,
    /// Steps.
    pub steps: Option<usize>,
}

impl Limits {
    /// These limits on a checker.
    fn put<M: Model>(
        self,
        builder: stateright::CheckerBuilder<M>,
    ) -> stateright::CheckerBuilder<M> {
        let builder = match self.most {
            Some(most) => builder.target_state_count(most),
            None => builder,
        };
        match self.steps {
            // The state at the beginning counts.
            Some(steps) => builder.target_max_depth(steps + 2),
            None => builder,
        }
    }
}

/// Makes the steps to a broken promise the fewest there are: the checker looks at a few thousand more states when it has found
/// some, and keeps the last.
pub fn shorten(found: Explored, explore: impl Fn(Limits) -> Explored) -> Explored {
    let mut best = found;
    while let Some(steps) = best.violation.as_ref().map(Vec::len) {
        let shorter = explore(Limits {
            most: None,
            steps: Some(steps - 1),
        });
        match shorter.violation {
            Some(_) => best.violation = shorter.violation,
            None => break,
        }
    }
    best
}

/// What exploring a scope came to.
#[derive(Debug)]
pub struct Explored {
    /// States generated.
    pub states: usize,
    /// Different ones among them.
    pub unique: usize,
    /// Steps of the longest shortest way.
    pub depth: usize,
    /// The steps to a broken promise, if one was found.
    pub violation: Option<Vec<String>>,
    /// The kinds of situation that were seen, by name.
    pub reached: Vec<&'static str>,
}

impl Explored {
    /// Reads a checker that has ended: whether a promise was broken, and which situations were reached.
    fn of<M>(checker: &impl Checker<M>, promises: &[&str], situations: &[&'static str]) -> Self
    where
        M: Model,
        M::State: Clone + Debug + Hash + PartialEq,
        M::Action: Clone + Debug + PartialEq,
    {
        let found = checker.discoveries();
        let steps = |path: &stateright::Path<M::State, M::Action>| {
            let actions = path.clone().into_actions();
            actions.iter().map(|action| format!("{action:?}")).collect()
        };
        let reached = situations.iter().copied();
        Self {
            states: checker.state_count(),
            unique: checker.unique_state_count(),
            depth: checker.max_depth(),
            violation: promises
                .iter()
                .filter_map(|promise| found.get(promise).map(steps))
                .min_by_key(Vec::len),
            reached: reached.filter(|name| found.contains_key(name)).collect(),
        }
    }
}
