//! Tokens: generate, tell the status, end the previous one, revoke.

use super::prelude::*;
use crate::auth::throttle::{Meter, Throttle};
use crate::metering::reveals::{Reveal, Reveals};
use std::time::Duration;
use tokenward_core::ClientSecret;
use tokenward_core::audit::Actor;
use tokenward_core::client::ClientState;
use tokenward_core::generate::{self, Answer, Caller, IssueOptions, Rejection};
use tokenward_core::ids::ProductNo;
use tokenward_core::slot::TokenRecord;

/// How long a secret's calls may come faster than `secret_calls_per_second`, if it was idle before.
const SECRET_CALLS_BURST_SECONDS: f64 = 10.0;

/// How long a client is remembered after a wrong secret.
const GUESSED_AT_SECONDS: f64 = 60.0;
/// How long a call waits to be told beside the writer. Pages and lists are read there, too.
const READ_MAX: Duration = Duration::from_millis(500);

/// What serves the holders of client secrets.
pub struct Issuance {
    data: Arc<Data>,
    /// Wrong secrets, by source network and client.
    throttle: Throttle,
    /// The clients for which somebody presented a wrong secret lately.
    guessed_at: Meter<Uuid>,
    /// How often each client secret called, by its digest; none without a limit.
    secret_calls: Option<Meter<[u8; 32]>>,
    /// Which returns of live tokens were audited today.
    reveals: Arc<Reveals>,
}

impl Issuance {
    pub(crate) fn new(data: Arc<Data>) -> Self {
        let per_second = f64::from(data.config.secret_calls_per_second);
        Self {
            throttle: Throttle::default(),
            guessed_at: Meter::new(1.0, 1.0 / GUESSED_AT_SECONDS),
            secret_calls: (per_second > 0.0)
                .then(|| Meter::new(per_second * SECRET_CALLS_BURST_SECONDS, per_second)),
            reveals: Arc::default(),
            data,
        }
    }

    /// From now on so many nodes share the limits on guessing and on a secret's calls.
    pub(crate) fn share_limits(&self, nodes: u32) {
        let clock = self.data.clock();
        self.throttle.share(nodes, &clock);
        if let Some(calls) = &self.secret_calls {
            calls.share(nodes, &clock);
        }
    }
}

/// Why a verb about tokens gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The caller's fault.
    Rejected(Rejection),
    /// This source guessed too often: seconds to wait.
    Throttled(u64),
    /// This secret called too often: seconds to wait.
    TooManyCalls(u64),
    /// The server could not do it.
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a client's status tells; no token.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// The newest token's generation; 0 when there has never been one.
    pub generation: u32,
    /// The newest token, if it is live.
    pub live: Option<TokenRecord>,
    /// Tokens this secret may still make today.
    pub quota_left: u32,
    /// When the previous token of a hand-over ends, if there is one.
    pub previous_valid_till: Option<Timestamp>,
}

/// Generates (or, by the client's policy, returns) a token for the holder of a client secret, if the client may open all of
/// `products`; none among them is a product that does not exist.
pub async fn generate(
    issuance: &Issuance,
    caller: Caller,
    options: IssueOptions,
    products: Vec<Option<ProductNo>>,
) -> Result<Answer, Refused> {
    let quota = issuance.data.config.quota_per_day;
    // Drawn here, on the caller's thread: the writer's time is everybody's.
    let fresh = random::fresh();
    let (reveals, source) = (Arc::clone(&issuance.reveals), caller.source);
    let generated = by_caller(issuance, caller, move |keyring, state, caller, now| {
        if !products.is_empty() {
            generate::admit(state, caller, keyring)?;
            let own = state.client.settings.products.as_deref();
            let allowed = |no: &ProductNo| own.is_none_or(|own| own.contains(no));
            if !products.iter().all(|no| no.as_ref().is_some_and(allowed)) {
                return Err(Rejection::ProductNotAllowed);
            }
        }
        let (changes, answer) =
            generate::by_secret(state, caller, options, fresh, quota, keyring, now)?;
        let action = if answer.made {
            "token.generate"
        } else {
            "token.return"
        };
        let detail = json!({
            "generation": answer.generation,
            "valid_till": answer.valid_till.map(Timestamp::iso),
            "previous_valid_till": answer.previous_valid_till.map(Timestamp::iso),
        });
        let actor = Actor::ClientSecret(state.client.id, answer.secret.unwrap_or(0));
        let reveal = Reveal {
            day: now.utc_day(),
            client: state.client.no,
            generation: answer.generation,
            secret: answer.secret.unwrap_or(0),
            source,
        };
        let audited = answer.made || reveals.is_new(reveal);
        let audit = audited.then(|| entry(state, actor, Some(caller), action, &detail, now));
        let decided = Decided {
            changes,
            audit: audit.into_iter().collect(),
            ..Decided::default()
        };
        Ok((decided, (answer, reveal)))
    });
    let (answer, reveal) = generated.await?;
    if answer.made {
        issuance.data.counts.generated(reveal.client);
    } else {
        issuance.reveals.audited(reveal);
        issuance.data.counts.returned(reveal.client);
    }
    Ok(answer)
}

/// Tells the holder of a client secret where its token stands.
pub async fn status(issuance: &Issuance, caller: Caller) -> Result<Status, Refused> {
    let quota = issuance.data.config.quota_per_day;
    by_caller(issuance, caller, move |keyring, state, caller, now| {
        let position = generate::admit(state, caller, keyring)?;
        let slot = &state.slot;
        let status = Status {
            generation: slot.generation,
            live: slot.live(now).copied(),
            quota_left: quota.saturating_sub(slot.quota[position].used_at(now)),
            previous_valid_till: slot
                .previous
                .filter(|p| now < p.valid_till)
                .map(|p| p.valid_till),
        };
        Ok((Decided::nothing(), status))
    })
    .await
}

/// Ends the previous token of a hand-over; answers whether there was one.
pub async fn end_previous(issuance: &Issuance, caller: Caller) -> Result<bool, Refused> {
    by_caller(issuance, caller, |keyring, state, caller, now| {
        let position = generate::admit(state, caller, keyring)?;
        let Some(change) = generate::end_previous(state) else {
            return Ok((Decided::nothing(), false));
        };
        let generation = state.slot.generation.saturating_sub(1);
        let ended = ("token.end_previous", generation);
        Ok((ending(state, position, caller, change, ended, now), true))
    })
    .await
}

/// Revokes the client's own token (RFC 7009), if the text is its live or previous token; answers
/// whether something was ended.
pub async fn revoke_own(
    issuance: &Issuance,
    caller: Caller,
    token: String,
) -> Result<bool, Refused> {
    let token = zeroize::Zeroizing::new(token);
    by_caller(issuance, caller, move |keyring, state, caller, now| {
        let position = generate::admit(state, caller, keyring)?;
        let Ok(token) = tokenward_core::AccessToken::parse(&token) else {
            return Ok((Decided::nothing(), false));
        };
        let is = |key, digest: &tokenward_core::Digest| {
            keyring
                .token(key, &token)
                .is_some_and(|presented| presented.matches(digest))
        };
        let newest = state
            .slot
            .live(now)
            .is_some_and(|live| is(live.key, &live.digest));
        let previous = state
            .slot
            .previous
            .is_some_and(|previous| is(previous.key, &previous.digest));
        let change = match (newest, previous) {
            (true, _) => generate::revoke(state, now),
            (_, true) => generate::end_previous(state),
            _ => None,
        };
        let Some(change) = change else {
            return Ok((Decided::nothing(), false));
        };
        let ended = ("token.revoke", state.slot.generation);
        Ok((ending(state, position, caller, change, ended, now), true))
    })
    .await
}

/// Proves the caller's secret and nothing more.
pub async fn authenticate(issuance: &Issuance, caller: Caller) -> Result<ClientId, Refused> {
    by_caller(issuance, caller, |keyring, state, caller, _| {
        generate::admit(state, caller, keyring)?;
        Ok((Decided::nothing(), state.client.id))
    })
    .await
}

/// Runs a decision of the holder of a client secret. Unknown clients are refused from memory, wrong secrets are charged to
/// their source, everything else is decided on the durable state. A right secret is never refused for others' wrong ones,
/// only for its own calls.
async fn by_caller<T, F>(issuance: &Issuance, caller: Caller, decide: F) -> Result<T, Refused>
where
    T: Send + 'static,
    F: FnOnce(
            &tokenward_core::Keyring,
            &ClientState,
            &Caller,
            Timestamp,
        ) -> Result<(Decided, T), Rejection>
        + Send
        + 'static,
{
    // Charged to the secret as presented: who does not hold it cannot spend its calls.
    let call = issuance
        .data
        .keyring
        .secret(issuance.data.keyring.current(), &caller.secret);
    let call = call.map_or([0; 32], |digest| digest.0);
    if let Some(calls) = &issuance.secret_calls
        && let Err(retry_after_seconds) = calls.charge(call, &issuance.data.clock())
    {
        return Err(Refused::TooManyCalls(retry_after_seconds));
    }
    let decided = async {
        let (source, id) = (caller.source, caller.secret.client());
        let clock = issuance.data.clock();
        match issuance.data.replica().knows(id, || clock.boot()) {
            Some(true) => {}
            Some(false) => return Err(wrong(issuance, source, id)),
            None => return Err(Refused::Failed(Failure::Unavailable)),
        }
        let is_suspected = issuance.throttle.wait_seconds(source, id.0, &clock) > 0
            || issuance.guessed_at.wait_seconds(&id.0, &clock) > 0;
        // Guesses are told from right secrets beside the writer, so that they do not make its queue longer.
        if is_suspected && is_wrong(issuance, id, &caller.secret).await {
            return Err(guessed(issuance, source, id));
        }
        let keyring = Arc::clone(&issuance.data.keyring);
        let decided = issuance
            .data
            .decide(ReadSet::client(id), move |view| {
                let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
                decide(&keyring, state, &caller, view.now)
            })
            .await?;
        decided.map_err(|rejection| match rejection {
            Rejection::SecretInvalid => guessed(issuance, source, id),
            rejection => Refused::Rejected(rejection),
        })
    };
    let decided = decided.await;
    if let Some(calls) = &issuance.secret_calls
        && matches!(
            decided,
            Err(Refused::Rejected(Rejection::SecretInvalid) | Refused::Throttled(_))
        )
    {
        calls.forgive(&call, &issuance.data.clock());
    }
    decided
}

/// The answer to a wrong secret: the same for clients that exist, that were deleted and that never were.
fn wrong(issuance: &Issuance, source: Option<IpAddr>, id: ClientId) -> Refused {
    match issuance
        .throttle
        .charge(source, id.0, &issuance.data.clock())
    {
        Ok(()) => Refused::Rejected(Rejection::SecretInvalid),
        Err(retry_after_seconds) => Refused::Throttled(retry_after_seconds),
    }
}

/// The same for a client that exists, which is remembered for a while.
fn guessed(issuance: &Issuance, source: Option<IpAddr>, id: ClientId) -> Refused {
    let clock = issuance.data.clock();
    issuance.guessed_at.renew(id.0, &clock);
    wrong(issuance, source, id)
}

/// Whether the secret is certainly none of the client's, by what is read within the lease: every change that any node answered
/// before. When that can't be read soon, the writer has to tell.
async fn is_wrong(issuance: &Issuance, id: ClientId, secret: &ClientSecret) -> bool {
    let data = &issuance.data;
    let read = data.proving(data.reader().secrets(id));
    match tokio::time::timeout(READ_MAX, read).await {
        Ok(Ok(known)) => !known.is_some_and(|known| {
            let (secrets, environment) = (&known.secrets, known.environment);
            generate::position_of(secret, secrets, environment, &data.keyring).is_some()
        }),
        Ok(Err(error)) => {
            crate::logs::read_failed(&error);
            false
        }
        Err(_) => false,
    }
}

/// What is written when the holder of a secret ends the token of a generation.
fn ending(
    state: &ClientState,
    position: usize,
    caller: &Caller,
    change: Change,
    (action, generation): (&'static str, u32),
    now: Timestamp,
) -> Decided {
    let actor = secret_actor(state, position);
    let detail = json!({ "generation": generation });
    Decided {
        changes: vec![change],
        audit: vec![entry(state, actor, Some(caller), action, &detail, now)],
        ..Decided::default()
    }
}

fn secret_actor(state: &ClientState, position: usize) -> Actor {
    let n = state.client.secrets[position].map_or(0, |secret| secret.n);
    Actor::ClientSecret(state.client.id, n)
}

fn entry(
    state: &ClientState,
    actor: Actor,
    caller: Option<&Caller>,
    action: &'static str,
    detail: &serde_json::Value,
    now: Timestamp,
) -> Entry {
    Entry {
        at: now,
        actor,
        source: caller.and_then(|caller| caller.source),
        action,
        workspace: Some(state.workspace.id),
        client: Some(state.client.id),
        detail: detail.to_string(),
    }
}
