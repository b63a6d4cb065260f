//! One client's state over time as far as an observer can know it.
//!
//! A change takes effect at some instant between being sent and being answered. So a value *may be
//! in force* from the moment its change was sent until the answer of the first change that was sent
//! only after it had been answered. A change whose outcome nobody knows may begin to hold at any
//! instant after it was sent, until the next answered change to the same thing that was sent after
//! the observer had given up on it; it never surely ends anything itself.

use std::collections::HashMap;

use super::event::{Event, Nanos, Operation, Outcome, Product, ProductSet, TokenId};
use super::intervals::{Interval, Intervals, Overlaps};

/// One change to one of the client's values.
struct Write<T> {
    value: T,
    sent: Nanos,
    answered: Nanos,
    known: bool,
}

/// When each value of a register may have been in force, in the order of `writes`.
fn may_be_in_force<T>(writes: &[Write<T>]) -> Vec<Interval> {
    let mut known: Vec<(Nanos, Nanos)> = writes
        .iter()
        .filter(|write| write.known)
        .map(|write| (write.sent, write.answered))
        .collect();
    known.sort_unstable();
    // From each change on, the earliest answer of it and all sent later.
    for index in (1..known.len()).rev() {
        known[index - 1].1 = known[index - 1].1.min(known[index].1);
    }
    writes
        .iter()
        .map(|write| {
            let next = known.partition_point(|&(sent, _)| sent <= write.answered);
            let end = known
                .get(next)
                .map_or(Nanos::MAX, |&(_, answered)| answered);
            Interval::new(write.sent, end)
        })
        .collect()
}

/// What may have been in force, and when.
pub(super) struct Knowledge<'a> {
    /// The interval of each token and the generate that handed it out.
    pub(super) tokens: HashMap<TokenId, (Interval, &'a Event)>,
    /// Intervals in which the slot may have held any one value: each token, or none.
    slot: Overlaps,
    pub(super) enabled: Intervals,
    pub(super) disabled: Intervals,
    pub(super) exists: Intervals,
    pub(super) deleted: Intervals,
    restrictions: Vec<(ProductSet, Interval)>,
    products: HashMap<Product, ProductKnowledge>,
}

/// The same for one product.
pub(super) struct ProductKnowledge {
    pub(super) allowed: Intervals,
    pub(super) forbidden: Intervals,
    /// When a live token may have been good for this product.
    pub(super) open: Intervals,
}

impl<'a> Knowledge<'a> {
    /// `events` are one client's, in any order.
    pub(super) fn of(events: &[&'a Event]) -> Knowledge<'a> {
        let deletions: Vec<_> = writes(events, |event| match event.operation {
            Operation::Delete => Some(()),
            _ => None,
        });
        let first_delete = deletions.iter().map(|write| write.sent).min();
        let surely_deleted = deletions
            .iter()
            .filter(|write| write.known)
            .map(|write| write.answered)
            .min();
        let switch = with_initial(
            true,
            writes(events, |event| match event.operation {
                Operation::Enable => Some(true),
                Operation::Disable => Some(false),
                _ => None,
            }),
        );
        let switch_times = may_be_in_force(&switch);
        let restricts = with_initial(
            ProductSet::ALL,
            writes(events, |event| match event.operation {
                Operation::Restrict(products) => Some(products),
                _ => None,
            }),
        );
        let restrict_times = may_be_in_force(&restricts);
        let (slot, tokens) = slot(events);
        Knowledge {
            tokens,
            slot,
            enabled: chosen(&switch, &switch_times, |&enabled| enabled),
            disabled: chosen(&switch, &switch_times, |&enabled| !enabled),
            exists: Intervals::union_of([Interval::new(0, surely_deleted.unwrap_or(Nanos::MAX))]),
            deleted: Intervals::union_of(first_delete.map(|sent| Interval::new(sent, Nanos::MAX))),
            restrictions: restricts
                .iter()
                .map(|write| write.value)
                .zip(restrict_times)
                .collect(),
            products: HashMap::new(),
        }
    }

    /// What is known about one product, worked out at its first use.
    pub(super) fn product(&mut self, product: Product) -> &ProductKnowledge {
        self.products.entry(product).or_insert_with(|| {
            let times = |wanted: bool| {
                Intervals::union_of(
                    self.restrictions
                        .iter()
                        .filter(|(set, _)| set.contains(product) == wanted)
                        .map(|&(_, time)| time),
                )
            };
            let allowed = times(true);
            let open = allowed.and(&self.enabled).and(&self.exists);
            ProductKnowledge {
                allowed,
                forbidden: times(false),
                open,
            }
        })
    }

    /// Whether the slot may have held something other than this token at some instant of `window`.
    pub(super) fn may_not_be_live(&self, token: Interval, window: Interval) -> bool {
        let own = usize::from(!token.is_empty() && !token.and(window).is_empty());
        self.slot.count(window) > own
    }
}

/// The slot's times and each token's, with the order that the generations add.
fn slot<'a>(events: &[&'a Event]) -> (Overlaps, HashMap<TokenId, (Interval, &'a Event)>) {
    let holders = writes(events, |event| match event.operation {
        Operation::Generate | Operation::Revoke | Operation::Delete => Some(Some(event)),
        _ => None,
    });
    let holders = with_initial(None, holders);
    let mut times = may_be_in_force(&holders);
    let mut generated: Vec<(u64, usize)> = holders
        .iter()
        .enumerate()
        .filter_map(|(index, write)| match write.value?.outcome {
            Outcome::Generated { generation, .. } => Some((generation, index)),
            _ => None,
        })
        .collect();
    generated.sort_unstable();
    // A generation takes effect after all lower ones and ends with the answer of any higher one.
    let mut latest_sent = 0;
    for &(_, index) in &generated {
        times[index].start = times[index].start.max(latest_sent);
        latest_sent = latest_sent.max(holders[index].sent);
    }
    let mut earliest_answer = Nanos::MAX;
    for &(_, index) in generated.iter().rev() {
        times[index].end = times[index].end.min(earliest_answer);
        earliest_answer = earliest_answer.min(holders[index].answered);
    }
    let tokens = holders
        .iter()
        .zip(&times)
        .filter_map(|(write, &time)| match write.value?.outcome {
            Outcome::Generated { token, .. } => Some((token, (time, write.value?))),
            _ => None,
        })
        .collect();
    (Overlaps::of(times), tokens)
}

fn writes<'a, T>(events: &[&'a Event], value: impl Fn(&'a Event) -> Option<T>) -> Vec<Write<T>> {
    events
        .iter()
        .filter(|event| event.may_have_happened())
        .filter_map(|&event| {
            Some(Write {
                value: value(event)?,
                sent: event.invoked,
                answered: event.returned,
                known: !event.is_unknown(),
            })
        })
        .collect()
}

fn with_initial<T>(value: T, mut writes: Vec<Write<T>>) -> Vec<Write<T>> {
    writes.push(Write {
        value,
        sent: 0,
        answered: 0,
        known: true,
    });
    writes
}

fn chosen<T>(writes: &[Write<T>], times: &[Interval], wanted: impl Fn(&T) -> bool) -> Intervals {
    Intervals::union_of(
        writes
            .iter()
            .zip(times)
            .filter(|(write, _)| wanted(&write.value))
            .map(|(_, &time)| time),
    )
}
