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
    /// Reads a checker that has ended: whether the promise was broken, and which situations were reached.
    fn of<M>(checker: &impl Checker<M>, promise: &str, situations: &[&'static str]) -> Self
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
            violation: found.get(promise).map(steps),
            reached: reached.filter(|name| found.contains_key(name)).collect(),
        }
    }
}
