//! Random histories of a few clients: after every step, every token ever issued must get from the
//! replica exactly the verdict of the naive account, and at most one token of a client passes (two
//! only in a hand-over).

use crate::account::{Account, End, Expected};
use crate::world::{HOME, PRODUCTS, Seen, World, settings};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tokenward_core::change::EPOCH_GENERATIONS;
use tokenward_core::check::Presented;
use tokenward_core::client::OnRepeat;
use tokenward_core::generate::{self, IssueOptions, Rejection};
use tokenward_core::ids::{Environment, ProductNo};
use tokenward_core::restrictions::Networks;

const CLIENTS: u32 = 3;
const QUOTA: u32 = 6;
const ELSEWHERE: &str = "203.0.113.9";

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A client, the position of its secret, and what it asks for.
    BySecret(u32, usize, IssueOptions),
    ByAdmin(u32),
    Revoke(u32),
    EndPrevious(u32),
    Disable(u32, bool),
    DisableWorkspace(usize, bool),
    Delete(u32),
    Settings {
        client: u32,
        products: Option<BTreeSet<usize>>,
        from_home_only: bool,
        lifetime: Option<u32>,
        returns: bool,
        handover_max: u32,
    },
    /// A client and the position of its secret.
    PutSecret(u32, usize),
    DropSecret(u32, usize),
    /// Seconds.
    Wait(u64),
    /// With one more key or not.
    Reload(bool),
    Epoch,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS;
    let step = prop_oneof![
        12 => (client(), 0..2_usize, prop::option::weighted(0.2, 0..6_u32), any::<bool>(), prop::sample::select(vec![0, 0, 30, 60, 61]))
            .prop_map(|(client, position, if_match, force, handover)|
                Step::BySecret(client, position, IssueOptions { if_match, force, handover_seconds: Some(handover) })),
        2 => client().prop_map(Step::ByAdmin),
        2 => client().prop_map(Step::Revoke),
        1 => client().prop_map(Step::EndPrevious),
        2 => (client(), any::<bool>()).prop_map(|(client, on)| Step::Disable(client, on)),
        1 => (0..2_usize, any::<bool>()).prop_map(|(workspace, on)| Step::DisableWorkspace(workspace, on)),
        1 => client().prop_map(Step::Delete),
        4 => (client(), prop::option::of(prop::collection::btree_set(0..3_usize, 0..3)), any::<bool>(),
                prop::option::weighted(0.8, prop::sample::select(vec![1, 45, 3600])), any::<bool>(), prop::sample::select(vec![0, 60, 60]))
            .prop_map(|(client, products, from_home_only, lifetime, returns, handover_max)|
                Step::Settings { client, products, from_home_only, lifetime, returns, handover_max }),
        2 => (client(), 0..2_usize).prop_map(|(client, position)| Step::PutSecret(client, position)),
        1 => (client(), 0..2_usize).prop_map(|(client, position)| Step::DropSecret(client, position)),
        4 => prop::sample::select(vec![1, 29, 30, 44, 45, 60, 600, 3600, 50_000]).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reload),
        1 => Just(Step::Epoch),
    ];
    prop::collection::vec(step, 1..60)
}

/// The world and the account of every client.
pub(crate) struct Pair {
    pub(crate) world: World,
    accounts: Vec<Account>,
    workspace_disabled: [bool; 2],
}

impl Pair {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        world.quota = QUOTA;
        let mut accounts = Vec::new();
        for n in 0..CLIENTS {
            let environment = match n {
                2 => Environment::Sandbox,
                _ => Environment::Production,
            };
            let workspace = (n % 2) as usize;
            let no = world.add_client(workspace as u32, environment, settings(&format!("erp-{n}")));
            let secret = world.add_secret(no, 0);
            accounts.push(Account {
                environment,
                workspace,
                generation: 0,
                tokens: Vec::new(),
                disabled: false,
                deleted: false,
                products: None,
                from_home_only: false,
                lifetime: Some(3600),
                returns: false,
                renew_before: 600,
                handover_max: 0,
                returnable_to: None,
                secrets: [Some((1, secret)), None],
                next_secret: 2,
                used: [(0, 0); 2],
            });
        }
        Self {
            world,
            accounts,
            workspace_disabled: [false; 2],
        }
    }

    pub(crate) fn take(&mut self, step: Step) {
        let Self {
            world,
            accounts,
            workspace_disabled,
        } = self;
        let now = world.now;
        match step {
            Step::BySecret(client, position, options) => self.by_secret(client, position, options),
            Step::ByAdmin(client) => {
                let account = &mut accounts[client as usize];
                let blocked =
                    account.deleted || account.disabled || workspace_disabled[account.workspace];
                match generate::by_admin(&world.state(client), world.fresh(), &world.keyring, now) {
                    Ok((changes, answer)) => {
                        assert!(!blocked);
                        world.commit_all(changes);
                        account.made(answer.token.expose().to_string(), None, None, now);
                    }
                    Err(_) => assert!(blocked),
                }
            }
            Step::Revoke(client) => {
                let change = generate::revoke(&world.state(client), now);
                let account = &mut accounts[client as usize];
                assert_eq!(change.is_some(), account.anything_lives(now));
                if let Some(change) = change {
                    world.commit(change);
                    account.end(End::Revoked(now));
                }
            }
            Step::EndPrevious(client) => {
                world.commit_all(generate::end_previous(&world.state(client)));
                accounts[client as usize].end_hand_over();
            }
            Step::Disable(client, on) => {
                world.disable(client, on.then_some(now));
                accounts[client as usize].disabled = on;
            }
            Step::DisableWorkspace(workspace, on) => {
                world.disable_workspace(workspace, on);
                workspace_disabled[workspace] = on;
            }
            Step::Delete(client) => {
                world.delete(client);
                accounts[client as usize].deleted = true;
            }
            Step::Settings {
                client,
                products,
                from_home_only,
                lifetime,
                returns,
                handover_max,
            } => {
                let list = products
                    .as_ref()
                    .map(|list| list.iter().map(|no| ProductNo(*no as u32)).collect());
                let networks: &[&str] = if from_home_only { &["10.0.0.0/8"] } else { &[] };
                world.change_settings(client, |settings| {
                    settings.products = list;
                    settings.token_networks = Networks::parse(networks).unwrap();
                    settings.token_lifetime_seconds = lifetime;
                    settings.on_repeat = match returns {
                        true => OnRepeat::Return,
                        false => OnRepeat::Replace,
                    };
                    settings.handover_max_seconds = handover_max;
                });
                let account = &mut accounts[client as usize];
                account.products = products;
                account.from_home_only = from_home_only;
                account.lifetime = lifetime;
                account.returns = returns;
                account.handover_max = handover_max;
                account.returnable_to = account.returnable_to.filter(|_| returns);
            }
            Step::PutSecret(client, position) => {
                let secret = world.add_secret(client, position);
                let account = &mut accounts[client as usize];
                account.secrets[position] = Some((account.next_secret, secret));
                account.next_secret += 1;
            }
            Step::DropSecret(client, position) => {
                let mut secrets = world.clients[&client].0.secrets;
                secrets[position] = None;
                let account = &mut accounts[client as usize];
                account.secrets[position] = None;
                world.change_secrets(client, secrets, account.next_secret);
            }
            Step::Wait(seconds) => world.wait(seconds),
            Step::Reload(add_key) => {
                let loaded = world.reloaded(&world.keys);
                let before = std::mem::replace(&mut world.replica, loaded);
                for (client, _) in world.clients.values() {
                    let (loaded, applied) = (world.replica.view(client), before.view(client));
                    assert_eq!(loaded, applied, "loading says what applying says");
                }
                world.reload(add_key && world.keys.len() < 8);
            }
            Step::Epoch => {
                world.start_epoch(1);
                for account in accounts {
                    account.end(End::Restored(now));
                    account.generation += EPOCH_GENERATIONS;
                }
            }
        }
    }

    fn by_secret(&mut self, client: u32, position: usize, options: IssueOptions) {
        let now = self.world.now;
        let account = &mut self.accounts[client as usize];
        // Generations grow past small numbers after an epoch: name some of them relative to the newest.
        let if_match = options.if_match.map(|wanted| match wanted > 3 {
            true => (account.generation + wanted).saturating_sub(5),
            false => wanted,
        });
        let disabled = self.workspace_disabled[account.workspace];
        let options = IssueOptions {
            if_match,
            ..options
        };
        let expected = account.expect(position, disabled, options, QUOTA, now);
        let Some((_, secret)) = account.secrets[position].clone() else {
            return;
        };

        match (self.world.generate_as(client, &secret, options), expected) {
            (Ok((text, answer)), Expected::Returned(known)) => {
                assert_eq!((text, answer.made), (known, false))
            }
            (Ok((text, answer)), Expected::Made { previous_till }) => {
                assert!(answer.made);
                assert_eq!(answer.previous_valid_till, previous_till);
                account.made(text, previous_till, Some(position), now);
                assert_eq!(answer.generation, account.generation);
                assert_eq!(answer.quota_left, QUOTA - account.used_today(position, now));
            }
            (Err(rejection), Expected::Refused(why)) => assert_eq!(word(rejection), why),
            (got, expected) => {
                let got = got.map(|(_, answer)| answer);
                panic!("{got:?} instead of {expected:?}")
            }
        }
    }

    /// Every token, in its own place and in every wrong one.
    fn compare(&self) {
        let now = self.world.now;
        for account in &self.accounts {
            let disabled = self.workspace_disabled[account.workspace];
            let mut passed = 0;
            for (nth, token) in account.tokens.iter().enumerate() {
                let mut passes = false;
                for environment in [Environment::Sandbox, Environment::Production] {
                    for (product, slug) in PRODUCTS.iter().enumerate() {
                        for from in [HOME, ELSEWHERE] {
                            let shown = Presented::One(&token.text);
                            let seen = self.world.seen(shown, environment, slug, from);
                            let at = (environment, product, from == HOME);
                            let expect = account.verdict(nth, now, disabled, at);
                            let what = format_args!("token {nth} for {slug} from {from}");
                            assert_eq!(seen, expect, "{what}: {account:?}");
                            passes |= matches!(seen, Seen::Permit { .. });
                        }
                    }
                }
                passed += usize::from(passes);
            }
            let handing_over = account
                .tokens
                .iter()
                .any(|token| token.lives_on_until.is_some_and(|until| now < until));
            assert!(
                passed <= 1 + usize::from(handing_over),
                "{passed} tokens pass: {account:?}"
            );
        }
    }
}

fn word(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::SecretInvalid => "secret",
        Rejection::EnvironmentMismatch => "environment",
        Rejection::ClientDeleted => "deleted",
        Rejection::ClientDisabled => "disabled",
        Rejection::AddressNotAllowed => "address",
        Rejection::GenerationMismatch { .. } => "generation",
        Rejection::HandoverTooLong { .. } => "handover",
        Rejection::ProductNotAllowed => "product",
        Rejection::QuotaExceeded { .. } => "quota",
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_history_agrees_with_the_naive_account(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
            pair.compare();
        }
    }
}
