//! Legal histories made by a sequential simulation always pass; each with one event bent is found.
//!
//! The simulation decides every outcome at one instant and then shows the observer a span around
//! it, so spans overlap at random while the truth stays sequential.

use proptest::prelude::*;

use super::*;

const CLIENTS: usize = 3;
const PRODUCTS: Product = 3;

/// Instants lie this far apart, so that spans of a little more each way overlap now and then.
const STEP: Nanos = 100;

/// One random decision: which client, which operation, how wide before and after, what goes wrong.
type Decision = (usize, u8, u64, u64, u8);

fn decisions() -> impl Strategy<Value = Vec<Decision>> {
    let one = (0..CLIENTS, any::<u8>(), 1..120_u64, 1..120_u64, any::<u8>());
    prop::collection::vec(one, 1..250)
}

#[derive(Clone)]
struct Client {
    live: Option<TokenId>,
    generation: u64,
    enabled: bool,
    deleted: bool,
    products: ProductSet,
    /// Every token handed out, and when its generate was answered.
    tokens: Vec<(TokenId, Nanos)>,
}

impl Client {
    fn new() -> Client {
        Client {
            live: None,
            generation: 0,
            enabled: true,
            deleted: false,
            products: ProductSet::ALL,
            tokens: Vec::new(),
        }
    }

    fn verdict(&self, token: TokenId, product: Product) -> Outcome {
        let code = if self.deleted {
            "CLIENT_DELETED"
        } else if self.live != Some(token) {
            "ACCESS_TOKEN_UNKNOWN"
        } else if !self.enabled {
            "CLIENT_DISABLED"
        } else if !self.products.contains(product) {
            "PRODUCT_NOT_ALLOWED"
        } else {
            return Outcome::Permitted;
        };
        Outcome::Denied(code.to_owned())
    }

    fn change(&mut self, operation: Operation, fresh: TokenId) -> Outcome {
        if self.deleted {
            return Outcome::Refused("CLIENT_DELETED".to_owned());
        }
        match operation {
            Operation::Generate if !self.enabled => {
                return Outcome::Refused("CLIENT_DISABLED".to_owned());
            }
            Operation::Generate => {
                self.generation += 1;
                self.live = Some(fresh);
                return Outcome::Generated {
                    token: fresh,
                    generation: self.generation,
                };
            }
            Operation::Revoke => self.live = None,
            Operation::Delete => self.deleted = true,
            Operation::Disable => self.enabled = false,
            Operation::Enable => self.enabled = true,
            Operation::Restrict(products) => self.products = products,
            Operation::Check { .. } => unreachable!("a check changes nothing"),
        }
        Outcome::Done
    }
}

fn operation(client: &Client, choice: u8, now: Nanos) -> Option<Operation> {
    Some(match choice {
        0..30 => Operation::Generate,
        30..36 => Operation::Revoke,
        36..38 => Operation::Delete,
        38..48 => Operation::Disable,
        48..60 => Operation::Enable,
        60..75 => Operation::Restrict(ProductSet(u64::from(choice) % 8)),
        _ => {
            let known: Vec<_> = client
                .tokens
                .iter()
                .filter(|(_, told)| *told < now)
                .collect();
            let back = usize::from(choice % 3).min(known.len().checked_sub(1)?);
            let product = choice % PRODUCTS;
            Operation::Check {
                token: known[known.len() - 1 - back].0,
                product,
            }
        }
    })
}

fn simulate(decisions: &[Decision]) -> Vec<Event> {
    let mut clients = vec![Client::new(); CLIENTS];
    let mut history = Vec::new();
    let mut fresh = 0;
    for (index, &(number, choice, before, after, fault)) in decisions.iter().enumerate() {
        let now = 1_000 + u64::try_from(index).unwrap() * STEP;
        let client = &mut clients[number];
        let Some(operation) = operation(client, choice, 2 * now) else {
            continue;
        };
        // Even when sent, odd when answered: no two readings of the clock that matter are equal.
        let (mut invoked, returned) = (2 * (now - before), 2 * (now + after) + 1);
        let outcome = if let Operation::Check { token, product } = operation {
            let told = client.tokens.iter().find(|(id, _)| *id == token).unwrap().1;
            invoked = invoked.max(told + 1);
            match fault {
                0..6 => Outcome::Unavailable,
                _ => client.verdict(token, product),
            }
        } else {
            fresh += 1;
            match fault {
                // Lost on the way there, or on the way back.
                0..4 => Outcome::Broken,
                4..8 => {
                    client.change(operation, fresh);
                    Outcome::Unavailable
                }
                _ => {
                    let outcome = client.change(operation, fresh);
                    if let Outcome::Generated { token, .. } = outcome {
                        client.tokens.push((token, returned));
                    }
                    outcome
                }
            }
        };
        let client = u32::try_from(number).unwrap();
        history.push(Event {
            client,
            operation,
            invoked,
            returned,
            outcome,
        });
    }
    history
}

/// The verdicts that one state alone explains: no change of the client overlaps the check, none
/// before it overlaps another (their order would be open), and none before it is of unknown outcome.
fn settled(history: &[Event]) -> Vec<usize> {
    let overlap = |a: &Event, b: &Event| a.invoked <= b.returned && b.invoked <= a.returned;
    let settled = |check: &Event| {
        let changes: Vec<_> = history
            .iter()
            .filter(|other| other.client == check.client && other.may_have_happened())
            .filter(|other| other.invoked <= check.returned)
            .collect();
        matches!(check.outcome, Outcome::Permitted | Outcome::Denied(_))
            && !changes.iter().enumerate().any(|(index, change)| {
                change.is_unknown()
                    || overlap(change, check)
                    || changes[..index].iter().any(|other| overlap(change, other))
            })
    };
    (0..history.len())
        .filter(|&index| settled(&history[index]))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn legal_histories_pass(decisions in decisions()) {
        let report = super::check(&simulate(&decisions));
        prop_assert!(report.violations.is_empty(), "{}", report.violations[0]);
    }

    #[test]
    fn a_settled_verdict_turned_round_is_found(decisions in decisions(), pick in any::<prop::sample::Index>()) {
        let mut history = simulate(&decisions);
        let settled = settled(&history);
        prop_assume!(!settled.is_empty());
        let event = &mut history[settled[pick.index(settled.len())]];
        event.outcome = match event.outcome {
            Outcome::Permitted => Outcome::Denied("ACCESS_TOKEN_UNKNOWN".to_owned()),
            _ => Outcome::Permitted,
        };
        prop_assert!(!super::check(&history).violations.is_empty());
    }

    #[test]
    fn exchanged_generations_are_found(decisions in decisions(), pick in any::<prop::sample::Index>()) {
        let mut history = simulate(&decisions);
        let generates: Vec<usize> = (0..history.len())
            .filter(|&index| matches!(history[index].outcome, Outcome::Generated { .. }))
            .collect();
        let apart = |a: &Event, b: &Event| a.client == b.client && a.returned < b.invoked;
        let pairs: Vec<_> = generates
            .iter()
            .flat_map(|&a| generates.iter().map(move |&b| (a, b)))
            .filter(|&(a, b)| apart(&history[a], &history[b]))
            .collect();
        prop_assume!(!pairs.is_empty());
        let (a, b) = pairs[pick.index(pairs.len())];
        let number = |event: &Event| match event.outcome {
            Outcome::Generated { generation, .. } => generation,
            _ => unreachable!("only generates were picked"),
        };
        let (first, second) = (number(&history[a]), number(&history[b]));
        for (index, number) in [(a, second), (b, first)] {
            if let Outcome::Generated { generation, .. } = &mut history[index].outcome {
                *generation = number;
            }
        }
        prop_assert!(super::check(&history).found(ViolationKind::GenerationOutOfOrder));
    }

    #[test]
    fn a_late_acceptance_of_a_superseded_token_is_found(decisions in decisions(), pick in any::<prop::sample::Index>()) {
        let mut history = simulate(&decisions);
        let last = history.iter().map(|event| event.returned).max().unwrap_or(0);
        let old: Vec<(u32, TokenId)> = history
            .iter()
            .filter_map(|event| match event.outcome {
                Outcome::Generated { token, generation } => Some((event, token, generation)),
                _ => None,
            })
            .filter(|&(event, _, generation)| history.iter().any(|later| {
                later.client == event.client
                    && matches!(later.outcome, Outcome::Generated { generation: its, .. } if its > generation)
            }))
            .map(|(event, token, _)| (event.client, token))
            .collect();
        prop_assume!(!old.is_empty());
        let (client, token) = old[pick.index(old.len())];
        history.push(Event {
            client,
            operation: Operation::Check { token, product: 0 },
            invoked: last + 1,
            returned: last + 2,
            outcome: Outcome::Permitted,
        });
        prop_assert!(super::check(&history).found(ViolationKind::AcceptedAfterItsEnd));
    }
}
