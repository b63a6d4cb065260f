//! Callers that generate and check all the time, what they saw in figures, and the history of it for the checker.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use tokenward_proof::history::{self, Clock, Event, Nanos, Operation, Outcome, TokenId};
use tokenward_testkit::{Answer, Api, ApiClient, Broken, NewClient, Token};
use tokio::task::JoinSet;

/// API clients, each with one caller that generates.
const CLIENTS: u32 = 6;
/// Callers that only check, through the load balancer.
const CHECKERS: usize = 2;
/// Rest between two generates of a client, and between two checks of a caller: a load, and time left for the nodes.
const GENERATE_PAUSE: Duration = Duration::from_millis(100);
const CHECK_PAUSE: Duration = Duration::from_millis(10);
/// How many of a client's tokens, counted from the latest, are checked.
const RECENT_TOKENS: u64 = 3;
/// Unexpected answers that are kept for the reader.
const UNEXPECTED_KEPT: usize = 8;
/// A machine that stands still for so long makes a node miss the load balancer's timeout of a second.
const STALL: Duration = Duration::from_millis(400);
/// The time between two looks at the machine.
const HEARTBEAT: Duration = Duration::from_millis(20);
/// Longest time in which every caller must have been answered.
const TURN_LIMIT: Duration = Duration::from_secs(60);
const ENVIRONMENT: &str = "production";
const PRODUCT: &str = "e-invoice";

/// What callers saw in some time.
#[derive(Clone, Default, Debug)]
pub(crate) struct Figures {
    pub(crate) generates: u64,
    /// Generates answered with something else than a token, or not at all.
    pub(crate) generates_failed: u64,
    pub(crate) longest_generate: Duration,
    pub(crate) checks: u64,
    /// Checks without a verdict: 502 to 504, or no answer.
    pub(crate) checks_failed: u64,
    pub(crate) longest_check: Duration,
    /// Generations that were skipped or came twice, although every answer before had arrived.
    pub(crate) lost_or_doubled: u64,
    /// For how long this machine had no time for a task that only counts.
    pub(crate) stall: Duration,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.generates += other.generates;
        self.generates_failed += other.generates_failed;
        self.longest_generate = self.longest_generate.max(other.longest_generate);
        self.checks += other.checks;
        self.checks_failed += other.checks_failed;
        self.longest_check = self.longest_check.max(other.longest_check);
        self.lost_or_doubled += other.lost_or_doubled;
        self.stall = self.stall.max(other.stall);
    }

    /// Demands that refusals and waits were no more than a step allows. On a machine that stood still itself, timeouts are
    /// the machine's; the caller is told so. Wrong verdicts and lost generates are judged elsewhere, on any machine.
    ///
    /// # Panics
    /// When they were more.
    pub(crate) fn demand(&self, allowed: &Allowed, load: &Load) -> Judged {
        let kept = self.checks_failed == 0
            && self.generates_failed <= allowed.generates_failed
            && self.longest_generate <= allowed.longest_generate;
        if !kept && self.stall >= STALL {
            return Judged::MachineStalled;
        }
        assert!(
            kept,
            "{self:?}, allowed {allowed:?}: {:#?}",
            load.unexpected()
        );
        Judged::Kept
    }
}

/// What a step may do to callers, beside refusing no check.
#[derive(Debug)]
pub(crate) struct Allowed {
    /// Generates without a token.
    pub(crate) generates_failed: u64,
    pub(crate) longest_generate: Duration,
}

/// Whether a step was judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    Kept,
    MachineStalled,
}

/// Callers at work; they end with it.
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// The figures of a moment.
pub(crate) struct Lines(Arc<Shared>);

impl Lines {
    /// Figures since the last call.
    pub(crate) fn take(&self) -> Figures {
        std::mem::take(&mut lock(&self.0.line))
    }
}

struct Shared {
    clock: Clock,
    over: AtomicBool,
    subjects: Vec<Subject>,
    events: Mutex<Vec<Event>>,
    unexpected: Mutex<Vec<String>>,
    /// Since they were last taken by the line of figures, and by the step.
    line: Mutex<Figures>,
    step: Mutex<Figures>,
}

struct Subject {
    client: ApiClient,
    tokens: Mutex<Vec<String>>,
    /// When the generate under way was sent; 0 for none.
    sent: AtomicU64,
    /// Generates answered so far, whatever the answer.
    answered: AtomicU64,
}

impl Load {
    /// Makes the clients and begins, through the load balancer. Checks go to each of `nodes` past the load balancer, too.
    pub(crate) async fn start(balanced: &Api, nodes: Vec<Api>) -> Self {
        let workspace = balanced.workspace("Sahyadri Tools").await;
        let workspace = workspace.expect("an answer");
        let product = balanced.product(PRODUCT, "E-Invoice").await;
        product.expect("an answer");
        let mut subjects = Vec::new();
        for number in 1..=CLIENTS {
            let new = NewClient::production(&format!("erp-{number}"));
            let client = balanced.client(&workspace, new).await;
            subjects.push(Subject {
                client: client.expect("an answer"),
                tokens: Mutex::default(),
                sent: AtomicU64::new(0),
                answered: AtomicU64::new(0),
            });
        }
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            over: AtomicBool::new(false),
            subjects,
            events: Mutex::default(),
            unexpected: Mutex::default(),
            line: Mutex::default(),
            step: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            tasks.spawn(generate(Arc::clone(&shared), balanced.clone(), number));
        }
        for number in 0..CHECKERS {
            let at = At::Balancer;
            tasks.spawn(check(Arc::clone(&shared), balanced.clone(), number, at));
        }
        for (number, node) in nodes.into_iter().enumerate() {
            tasks.spawn(check(Arc::clone(&shared), node, number, At::Node));
        }
        tasks.spawn(heartbeat(Arc::clone(&shared)));
        Self { shared, tasks }
    }

    /// For the lines of figures.
    pub(crate) fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.shared))
    }

    /// Figures since the last call.
    pub(crate) fn step(&self) -> Figures {
        std::mem::take(&mut lock(&self.shared.step))
    }

    /// Waits until each client's caller has been answered twice more: the second of these generates began after this call.
    pub(crate) async fn turn(&self) {
        let answered = || self.shared.subjects.iter().map(|subject| &subject.answered);
        let before: Vec<u64> = answered().map(|n| n.load(Ordering::SeqCst)).collect();
        let done = || {
            let mut both = answered().zip(&before);
            both.all(|(now, before)| now.load(Ordering::SeqCst) >= before + 2)
        };
        let mut look = tokio::time::interval(CHECK_PAUSE);
        let all = async {
            while !done() {
                look.tick().await;
            }
        };
        let ended = tokio::time::timeout(TURN_LIMIT, all).await;
        assert!(
            ended.is_ok(),
            "a generate had no answer within {TURN_LIMIT:?}: {:#?}",
            self.unexpected()
        );
    }

    /// Answers that were not expected, the first few.
    pub(crate) fn unexpected(&self) -> Vec<String> {
        lock(&self.shared.unexpected).clone()
    }

    /// Judges what was seen so far.
    pub(crate) fn judged(&self) -> history::Report {
        let shared = &self.shared;
        let kept = lock(&shared.events);
        let mut events = kept.clone();
        // What is under way may have happened, and checks may have seen it. One that is answered meanwhile is not yet kept.
        for (client, subject) in (0..).zip(&shared.subjects) {
            let sent = subject.sent.load(Ordering::SeqCst);
            if sent > 0 {
                events.push(Event {
                    client,
                    operation: Operation::Generate,
                    invoked: sent,
                    returned: shared.clock.now(),
                    outcome: Outcome::Unavailable,
                });
            }
        }
        drop(kept);
        history::check(&events)
    }

    /// Ends the load.
    pub(crate) async fn end(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a caller without a panic");
        }
    }
}

/// Where a caller sends its checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Balancer,
    /// A node may be silent, which is no failure: figures leave it out.
    Node,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn count(&self, figures: &Figures) {
        lock(&self.line).add(figures);
        lock(&self.step).add(figures);
    }

    fn unexpected(&self, what: &str, answer: &Result<Answer, Broken>) {
        let mut kept = lock(&self.unexpected);
        if kept.len() < UNEXPECTED_KEPT {
            kept.push(match answer {
                Ok(answer) => format!("{what}: {} {}", answer.status, answer.body),
                Err(broken) => format!("{what}: {broken}"),
            });
        }
    }

    fn keep(&self, client: u32, operation: Operation, from: Nanos, outcome: Outcome) -> Duration {
        let returned = self.clock.now();
        lock(&self.events).push(Event {
            client,
            operation,
            invoked: from,
            returned,
            outcome,
        });
        Duration::from_nanos(returned - from)
    }

    /// Checks the token that was handed out `back` tokens before the latest, if there is one.
    async fn check(&self, api: &Api, client: u32, back: u64, at: At) {
        let subject = &self.subjects[client as usize];
        let Some((token, text)) = subject.token(back) else {
            return;
        };
        let from = self.clock.now();
        let answer = api.check(ENVIRONMENT, PRODUCT, &text).await;
        let outcome = match &answer {
            Ok(answer) => match answer.status {
                200 => Outcome::Permitted,
                502..=504 => Outcome::Unavailable,
                _ => Outcome::Denied(answer.code().unwrap_or_default()),
            },
            Err(_) => Outcome::Broken,
        };
        let failed = matches!(outcome, Outcome::Unavailable | Outcome::Broken);
        let operation = Operation::Check { token, product: 0 };
        let took = self.keep(client, operation, from, outcome);
        if at == At::Node {
            return;
        }
        if failed {
            self.unexpected("check", &answer);
        }
        self.count(&Figures {
            checks: 1,
            checks_failed: failed.into(),
            longest_check: took,
            ..Figures::default()
        });
    }
}

impl Subject {
    fn token(&self, back: u64) -> Option<(TokenId, String)> {
        let tokens = lock(&self.tokens);
        let index = tokens.len().checked_sub(usize::try_from(back).ok()? + 1)?;
        Some((TokenId::try_from(index).ok()?, tokens[index].clone()))
    }
}

/// Generates for one client, by GET and POST in turn, and checks the new token and the one before.
async fn generate(shared: Arc<Shared>, api: Api, client: u32) {
    let subject = &shared.subjects[client as usize];
    let mut pause = tokio::time::interval(GENERATE_PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut generation, mut unknown) = (0, 0);
    for turn in 0_u64.. {
        pause.tick().await;
        if shared.is_over() {
            return;
        }
        let method = [Method::GET, Method::POST][usize::from(turn % 2 == 1)].clone();
        let request = api.authz(method, "", &subject.client.secret);
        let from = shared.clock.now();
        subject.sent.store(from, Ordering::SeqCst);
        let answer = api.send(request).await;
        let mut figures = Figures {
            generates: 1,
            ..Figures::default()
        };
        let mut made = None;
        let outcome = match &answer {
            Ok(answer) if answer.status == 200 => {
                let new: Token = answer.clone().token();
                // A generate without an answer may have been carried out.
                let possible = generation + 1..=generation + 1 + unknown;
                figures.lost_or_doubled = u64::from(!possible.contains(&new.generation));
                (generation, unknown) = (new.generation, 0);
                made = Some(new.access_token);
                let token = lock(&subject.tokens).len();
                Outcome::Generated {
                    token: TokenId::try_from(token).expect("some thousand tokens"),
                    generation,
                }
            }
            other => {
                unknown += 1;
                figures.generates_failed = 1;
                shared.unexpected("generate", other);
                match other {
                    Ok(answer) if answer.status < 500 => {
                        Outcome::Refused(answer.code().unwrap_or_default())
                    }
                    Ok(_) => Outcome::Unavailable,
                    Err(_) => Outcome::Broken,
                }
            }
        };
        let took = shared.keep(client, Operation::Generate, from, outcome);
        subject.sent.store(0, Ordering::SeqCst);
        // Known to the history before anybody checks it.
        lock(&subject.tokens).extend(made);
        figures.longest_generate = took;
        shared.count(&figures);
        subject.answered.fetch_add(1, Ordering::SeqCst);
        for back in 0..2 {
            shared.check(&api, client, back, At::Balancer).await;
        }
    }
}

/// Checks the latest tokens of all clients in turn.
async fn check(shared: Arc<Shared>, api: Api, number: usize, at: At) {
    let mut pause = tokio::time::interval(CHECK_PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = number as u64;
    while !shared.is_over() {
        pause.tick().await;
        let client = u32::try_from(turn % u64::from(CLIENTS)).expect("a few clients");
        let back = turn / u64::from(CLIENTS) % RECENT_TOKENS;
        shared.check(&api, client, back, at).await;
        turn += 1;
    }
}

/// Notes for how long tasks of this machine have to wait.
async fn heartbeat(shared: Arc<Shared>) {
    let mut beat = tokio::time::interval(HEARTBEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before = shared.clock.now();
    while !shared.is_over() {
        beat.tick().await;
        let now = shared.clock.now();
        shared.count(&Figures {
            stall: Duration::from_nanos(now - before).saturating_sub(HEARTBEAT),
            ..Figures::default()
        });
        before = now;
    }
}

/// A lock whose holder's panic ends the walk anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
