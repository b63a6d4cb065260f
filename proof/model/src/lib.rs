//! Model checking of Tokenward's protocols: the very state machines that ship, in a small world where
//! messages are late, lost, doubled and out of order, clocks stand still and processes die, and where
//! every interleaving is looked at.
//!
//! Nothing here reimplements a protocol: a broken variant is a world that mistreats the same machines.

pub mod cluster;
pub mod sublease;

use clap::ValueEnum;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::fmt::Debug;
use std::hash::Hash;

/// The bounds of a protocol's small worlds.
pub trait Protocol: Sized {
    /// A rule that is broken on purpose, or an assumption.
    type Broken: ValueEnum + Copy + Debug + 'static;

    /// The scope's name in reports.
    fn name(&self) -> &'static str;
    /// What every test run explores whole.
    fn small() -> Vec<Self>;
    /// What is explored on demand, besides.
    fn large() -> Vec<Self>;
    /// The scope in which a broken rule shows.
    fn breaking(broken: Self::Broken) -> Self;
    /// The names of the situations that the small scopes together reach.
    fn situations() -> Vec<&'static str>;
    /// Explores the scope: all of it, or until a promise is broken, or up to the limits.
    fn explore(self, limits: Limits) -> Explored;
}

/// What holds in a state, or is seen in it.
type Seen<W> = fn(&Bounded<W>, &W) -> bool;

/// The state of a small world, and what can happen in it.
trait World: Clone + Debug + Hash + PartialEq + Send + Sync + 'static {
    type Scope: Send + Sync + 'static;
    type Action: Clone + Debug + PartialEq;
    /// What must hold in every state, by name.
    const PROMISES: &'static [(&'static str, Seen<Self>)];
    /// Situations by name, all of which the small scopes together reach.
    const REACHED: &'static [(&'static str, Seen<Self>)];

    /// Where the exploration begins.
    fn start(scope: &Self::Scope) -> Self;
    /// Everything that can happen in this state.
    fn possible(&self, scope: &Self::Scope, actions: &mut Vec<Self::Action>);
    /// Lets one thing happen.
    fn act(&mut self, scope: &Self::Scope, action: Self::Action);
}

/// The worlds of a scope, as the checker takes them.
struct Bounded<W: World>(W::Scope);

impl<W: World> Model for Bounded<W> {
    type State = W;
    type Action = W::Action;

    fn init_states(&self) -> Vec<W> {
        vec![W::start(&self.0)]
    }

    fn actions(&self, state: &W, actions: &mut Vec<W::Action>) {
        state.possible(&self.0, actions);
    }

    fn next_state(&self, last: &W, action: W::Action) -> Option<W> {
        let mut next = last.clone();
        next.act(&self.0, action);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = W::PROMISES.iter();
        let always = always.map(|(name, kept)| Property::always(name, *kept));
        let sometimes = W::REACHED.iter();
        let sometimes = sometimes.map(|(name, seen)| Property::sometimes(name, *seen));
        always.chain(sometimes).collect()
    }
}

/// What a check has read so far: the end of the lease, the content, the clock. Each is a step of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Reads {
    lease: Option<u64>,
    content: Option<u8>,
    clock: Option<u64>,
}

impl Reads {
    /// Reads the next from what is there now; all three, once they are read. The lease comes first, unless that rule is broken.
    fn next(
        &mut self,
        (lease, content, clock): (u64, u8, u64),
        slot_first: bool,
    ) -> Option<(u64, u8, u64)> {
        if slot_first && self.content.is_none() {
            self.content = Some(content);
        } else if self.lease.is_none() {
            self.lease = Some(lease);
        } else if self.content.is_none() {
            self.content = Some(content);
        } else if self.clock.is_none() {
            self.clock = Some(clock);
        }
        Some((self.lease?, self.content?, self.clock?))
    }
}

/// How far a scope is explored: all of it unless it is said otherwise, or until a promise is broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// States.
    pub most: Option<usize>,
    /// Steps.
    pub steps: Option<usize>,
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

/// Explores the worlds of a scope, and reads what the checker found: whether a promise was broken, and which situations were
/// reached.
fn explore<W: World>(scope: W::Scope, limits: Limits) -> Explored {
    let mut builder = Bounded::<W>(scope).checker().threads(1);
    builder = builder.finish_when(HasDiscoveries::AnyFailures);
    if let Some(most) = limits.most {
        builder = builder.target_state_count(most);
    }
    if let Some(steps) = limits.steps {
        // The state at the beginning counts.
        builder = builder.target_max_depth(steps + 2);
    }
    let checker = builder.spawn_bfs().join();
    let found = checker.discoveries();
    let steps = |name: &str| -> Option<Vec<String>> {
        let actions = found.get(name)?.clone().into_actions();
        Some(actions.iter().map(|one| format!("{one:?}")).collect())
    };
    let reached = W::REACHED.iter().map(|(name, _)| *name);
    Explored {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        violation: W::PROMISES
            .iter()
            .filter_map(|(promise, _)| steps(promise))
            .min_by_key(Vec::len),
        reached: reached.filter(|name| found.contains_key(name)).collect(),
    }
}
