//! Tokens: generate, tell the status, end the previous one, revoke.

use crate::app::App;
use crate::random;
use serde_json::json;
use tokenward_core::audit::{Actor, Entry};
use tokenward_core::client::ClientState;
use tokenward_core::generate::{self, Answer, Caller, Rejection, Wishes};
use tokenward_core::ids::ClientId;
use tokenward_core::slot::TokenRecord;
use tokenward_core::time::{Clock, Timestamp};
use tokenward_store::{Decided, Failure, Wants};

/// Why a verb about tokens gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The caller's fault.
    Rejected(Rejection),
    /// This source guessed too often.
    Throttled {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// Ours.
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

/// Generates (or, by the client's policy, returns) a token for the holder of a client secret.
pub async fn generate(app: &App, caller: Caller, wishes: Wishes) -> Result<Answer, Refused> {
    let quota = app.config.quota_per_day;
    // Drawn here, on the caller's thread: the writer's time is everybody's.
    let fresh = random::fresh();
    let generated = by_caller(app, caller, move |keyring, state, caller, now| {
        let (changes, answer) =
            generate::by_secret(state, caller, wishes, fresh, quota, keyring, now)?;
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
        let audit = vec![entry(state, actor, Some(caller), action, &detail, now)];
        Ok((
            Decided {
                changes,
                audit,
                ..Decided::default()
            },
            (answer, state.client.no),
        ))
    });
    let (answer, client) = generated.await?;
    if answer.made {
        app.counts.generated(client);
    }
    Ok(answer)
}

/// Tells the holder of a client secret where its token stands.
pub async fn status(app: &App, caller: Caller) -> Result<Status, Refused> {
    let quota = app.config.quota_per_day;
    by_caller(app, caller, move |keyring, state, caller, now| {
        let position = generate::admit(state, caller, keyring)?;
        let day = u32::try_from(now.utc_day()).unwrap_or(0);
        let slot = &state.slot;
        let status = Status {
            generation: slot.generation,
            live: slot.live(now).copied(),
            quota_left: quota.saturating_sub(slot.quota[position].used_on(day)),
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
pub async fn end_previous(app: &App, caller: Caller) -> Result<bool, Refused> {
    by_caller(app, caller, |keyring, state, caller, now| {
        let position = generate::admit(state, caller, keyring)?;
        let Some(change) = generate::end_previous(state) else {
            return Ok((Decided::nothing(), false));
        };
        let actor = secret_actor(state, position);
        let detail = json!({ "generation": state.slot.generation.saturating_sub(1) });
        let audit = vec![entry(
            state,
            actor,
            Some(caller),
            "token.end_previous",
            &detail,
            now,
        )];
        Ok((
            Decided {
                changes: vec![change],
                audit,
                ..Decided::default()
            },
            true,
        ))
    })
    .await
}

/// Revokes the client's own token (RFC 7009), if the text is its live or previous token; answers
/// whether something was ended.
pub async fn revoke_own(app: &App, caller: Caller, token: String) -> Result<bool, Refused> {
    let token = zeroize::Zeroizing::new(token);
    by_caller(app, caller, move |keyring, state, caller, now| {
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
        let detail = json!({ "generation": state.slot.generation });
        let actor = secret_actor(state, position);
        let audit = vec![entry(
            state,
            actor,
            Some(caller),
            "token.revoke",
            &detail,
            now,
        )];
        Ok((
            Decided {
                changes: vec![change],
                audit,
                ..Decided::default()
            },
            true,
        ))
    })
    .await
}

/// Proves the caller's secret and nothing more.
pub async fn authenticate(app: &App, caller: Caller) -> Result<ClientId, Refused> {
    by_caller(app, caller, |keyring, state, caller, _| {
        generate::admit(state, caller, keyring)?;
        Ok((Decided::nothing(), state.client.id))
    })
    .await
}

/// Runs a decision of the holder of a client secret: unknown clients are refused from memory, guessers
/// are slowed, everything else is decided on the durable state.
async fn by_caller<T, F>(app: &App, caller: Caller, decide: F) -> Result<T, Refused>
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
    let (source, id) = (caller.source, caller.secret.client());
    let clock = app.clock();
    if !app.replica().may_know(id) {
        // Nobody may vouch for the absence of a client either, unless this node may vouch at all.
        return Err(match app.replica().lease().read().covers(|| clock.boot()) {
            true => Refused::Rejected(Rejection::SecretInvalid),
            false => Refused::Failed(Failure::Unavailable),
        });
    }
    let retry_after_seconds = app.throttle.wait_seconds(source, id.0, &clock);
    if retry_after_seconds > 0 {
        return Err(Refused::Throttled {
            retry_after_seconds,
        });
    }
    let keyring = std::sync::Arc::clone(&app.keyring);
    let decided = app
        .store
        .decide(Wants::client(id), move |view| {
            let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
            decide(&keyring, state, &caller, view.now)
        })
        .await?;
    decided.map_err(|rejection| {
        if rejection == Rejection::SecretInvalid {
            app.throttle.failed(source, id.0, &clock);
        }
        Refused::Rejected(rejection)
    })
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
        source: caller.map(|caller| caller.source),
        action,
        workspace: Some(state.workspace.id),
        client: Some(state.client.id),
        detail: detail.to_string(),
    }
}
