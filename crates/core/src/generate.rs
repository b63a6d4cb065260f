//! Deciding what a client secret buys: a new token, the live one, or a refusal. Pure functions from
//! the client's state to its next slot; the store makes the answer durable.

use crate::change::Change;
use crate::client::{ClientState, OnRepeat, SECRETS, SecretRecord};
use crate::credential::{AccessToken, ClientSecret, RANDOM_BYTES};
use crate::digest::Keyring;
use crate::ids::Environment;
use crate::seal;
use crate::slot::{EndReason, Previous, QuotaCount, Slot, TokenRecord};
use crate::time::Timestamp;
use std::net::IpAddr;

/// Tokens per secret per UTC day unless configured otherwise (Clear's figure).
pub const QUOTA_PER_DAY: u32 = 288;

/// Who presents a client secret, and where.
#[derive(Debug)]
pub struct Caller {
    /// The secret presented.
    pub secret: ClientSecret,
    /// The caller's address; none when it is not known.
    pub source: Option<IpAddr>,
    /// The environment the host it called is mapped to; none on an unmapped host.
    pub host_environment: Option<Environment>,
}

/// What a caller may ask besides a token.
#[derive(Clone, Copy, Debug, Default)]
pub struct IssueOptions {
    /// Only if the newest token has this generation; 0: only if there has never been one.
    pub if_match: Option<u32>,
    /// With policy `return`: a new token even so.
    pub force: bool,
    /// How long the previous token shall live on, in seconds.
    pub handover_seconds: Option<u32>,
}

/// Fresh random bytes for one decision; wiped on drop, for a decision may not be taken.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Fresh {
    /// The token's random part.
    pub token: [u8; RANDOM_BYTES],
    /// The seal's nonce.
    pub nonce: [u8; seal::NONCE_BYTES],
}

/// What the caller gets.
#[derive(Debug)]
pub struct Answer {
    /// The token; plain text exists only here.
    pub token: AccessToken,
    /// Its generation.
    pub generation: u32,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends; none means never.
    pub valid_till: Option<Timestamp>,
    /// In a hand-over: when the previous token ends.
    pub previous_valid_till: Option<Timestamp>,
    /// The number of the secret that bought it; none for an administrator.
    pub secret: Option<u32>,
    /// Whether a token was made (or the live one returned).
    pub made: bool,
    /// Tokens this secret may still make today.
    pub quota_left: u32,
}

/// Why nothing was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// The secret is none of this client's.
    SecretInvalid,
    /// A real secret, on the other environment's host.
    EnvironmentMismatch,
    /// The client was deleted.
    ClientDeleted,
    /// The client or its workspace is disabled.
    ClientDisabled,
    /// The caller's address is outside the client's `secret_networks`.
    AddressNotAllowed,
    /// `If-Match` named another generation than this.
    GenerationMismatch {
        /// The newest token's generation.
        generation: u32,
        /// Its end, if it is live and ends.
        valid_till: Option<Timestamp>,
    },
    /// The hand-over asked for is longer than the client's setting.
    HandoverTooLong {
        /// The setting, in seconds.
        max_seconds: u32,
    },
    /// The products asked for are not all among the client's.
    ProductNotAllowed,
    /// The secret has made all its tokens of the day.
    QuotaExceeded {
        /// Seconds until midnight UTC.
        retry_after_seconds: u64,
        /// The quota.
        limit: u32,
    },
}

/// Proves the caller's secret and that it may be used here and now; answers the secret's position.
pub fn admit(state: &ClientState, caller: &Caller, keyring: &Keyring) -> Result<usize, Rejection> {
    let position = prove(state, &caller.secret, keyring).ok_or(Rejection::SecretInvalid)?;
    // From here on the caller is known to hold the real secret, so the reason may be told.
    if caller
        .host_environment
        .is_some_and(|host| host != state.client.environment)
    {
        return Err(Rejection::EnvironmentMismatch);
    }
    if state.client.deleted_at.is_some() {
        return Err(Rejection::ClientDeleted);
    }
    if state.client.disabled_at.is_some() || state.workspace.disabled_at.is_some() {
        return Err(Rejection::ClientDisabled);
    }
    if !state.client.settings.secret_networks.hold(caller.source) {
        return Err(Rejection::AddressNotAllowed);
    }
    Ok(position)
}

/// The position of the secret among the client's, if it is one of them.
fn prove(state: &ClientState, secret: &ClientSecret, keyring: &Keyring) -> Option<usize> {
    if secret.client() != state.client.id {
        return None;
    }
    position_of(
        secret,
        &state.client.secrets,
        state.client.environment,
        keyring,
    )
}

/// The position of a secret among those of its client, if it is one of them, whatever state the client is in.
#[must_use]
pub fn position_of(
    secret: &ClientSecret,
    secrets: &[Option<SecretRecord>; SECRETS],
    environment: Environment,
    keyring: &Keyring,
) -> Option<usize> {
    if secret.environment() != environment {
        return None;
    }
    let mut found = None;
    for (position, record) in secrets.iter().enumerate() {
        let Some(record) = record else { continue };
        let digest = keyring.secret(record.key, secret);
        // No early exit: the time doesn't tell which of two secrets it was.
        if digest.is_some_and(|digest| digest.matches(&record.digest)) {
            found = Some(position);
        }
    }
    found
}

/// Decides a call of the Generate Access Token API. The changes are empty when the live token is
/// returned as it is.
pub fn by_secret(
    state: &ClientState,
    caller: &Caller,
    options: IssueOptions,
    fresh: Fresh,
    quota_per_day: u32,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(Vec<Change>, Answer), Rejection> {
    let position = admit(state, caller, keyring)?;
    let record = state.client.secrets[position].ok_or(Rejection::SecretInvalid)?;
    match_generation(&state.slot, options.if_match, now)?;
    let settings = &state.client.settings;
    if options.handover_seconds.unwrap_or(0) > settings.handover_max_seconds {
        return Err(Rejection::HandoverTooLong {
            max_seconds: settings.handover_max_seconds,
        });
    }
    let day = now.utc_day();
    let used = state.slot.quota[position].used_at(now);
    if settings.on_repeat == OnRepeat::Return
        && !options.force
        && let Some(mut answer) = returned(state, &caller.secret, now)
    {
        answer.secret = Some(record.n);
        answer.quota_left = quota_per_day.saturating_sub(used);
        return Ok((Vec::new(), answer));
    }
    if used >= quota_per_day {
        let retry_after_seconds = now.seconds_to_midnight();
        return Err(Rejection::QuotaExceeded {
            retry_after_seconds,
            limit: quota_per_day,
        });
    }
    let (mut slot, mut answer) = issued(state, options.handover_seconds, fresh.token, keyring, now);
    slot.quota[position] = QuotaCount {
        day,
        used: used + 1,
    };
    answer.secret = Some(record.n);
    answer.quota_left = quota_per_day.saturating_sub(used + 1);
    if settings.on_repeat == OnRepeat::Return {
        slot.seal = Some(seal::seal(
            &answer.token,
            answer.generation,
            &caller.secret,
            record.n,
            fresh.nonce,
        ));
    }
    let mut changes = vec![Change::TokenIssued {
        client: state.client.no,
        slot: Box::new(slot),
    }];
    if record.key != keyring.current()
        && let Some(digest) = keyring.secret(keyring.current(), &caller.secret)
    {
        // The digest key was rotated: this is the moment the plain secret is at hand.
        let mut secrets = state.client.secrets;
        secrets[position] = Some(crate::client::SecretRecord {
            digest,
            key: keyring.current(),
            ..record
        });
        let next_secret = state.client.next_secret;
        changes.push(Change::SecretsChanged {
            client: state.client.no,
            secrets,
            next_secret,
        });
    }
    Ok((changes, answer))
}

/// Decides generating by an administrator: no secret, no quota, and no seal, for there is no secret
/// to seal with.
pub fn by_admin(
    state: &ClientState,
    fresh: Fresh,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<(Vec<Change>, Answer), Rejection> {
    if state.client.deleted_at.is_some() {
        return Err(Rejection::ClientDeleted);
    }
    if state.client.disabled_at.is_some() || state.workspace.disabled_at.is_some() {
        return Err(Rejection::ClientDisabled);
    }
    let (slot, answer) = issued(state, None, fresh.token, keyring, now);
    Ok((
        vec![Change::TokenIssued {
            client: state.client.no,
            slot: Box::new(slot),
        }],
        answer,
    ))
}

/// Ends the client's live token, and a hand-over's previous one, without a new one. None when
/// nothing is live.
#[must_use]
pub fn revoke(state: &ClientState, now: Timestamp) -> Option<Change> {
    let previous = state
        .slot
        .previous
        .is_some_and(|previous| now < previous.valid_till);
    if state.slot.live(now).is_none() && !previous {
        return None;
    }
    let slot = state.slot.end(EndReason::Revoked, now);
    Some(Change::TokenEnded {
        client: state.client.no,
        slot: Box::new(slot),
    })
}

/// Ends the previous token of a hand-over before its time. None when there is none.
#[must_use]
pub fn end_previous(state: &ClientState) -> Option<Change> {
    state.slot.previous?;
    let slot = Slot {
        previous: None,
        ..state.slot.clone()
    };
    Some(Change::TokenEnded {
        client: state.client.no,
        slot: Box::new(slot),
    })
}

fn match_generation(slot: &Slot, wanted: Option<u32>, now: Timestamp) -> Result<(), Rejection> {
    match wanted {
        Some(generation) if generation != slot.generation => Err(Rejection::GenerationMismatch {
            generation: slot.generation,
            valid_till: slot.live(now).and_then(|token| token.valid_till),
        }),
        _ => Ok(()),
    }
}

/// The live token for policy `return`, if it has long enough to live and this secret opens its seal.
fn returned(state: &ClientState, secret: &ClientSecret, now: Timestamp) -> Option<Answer> {
    let live = state.slot.live(now)?;
    let margin = u64::from(state.client.settings.renew_before_seconds);
    if live
        .valid_till
        .is_some_and(|till| till <= now.plus_seconds(margin))
    {
        return None;
    }
    let token = seal::open(state.slot.seal.as_ref()?, state.slot.generation, secret)?;
    Some(Answer {
        token,
        generation: state.slot.generation,
        issued_at: live.issued_at,
        valid_till: live.valid_till,
        previous_valid_till: state
            .slot
            .previous
            .filter(|p| now < p.valid_till)
            .map(|p| p.valid_till),
        secret: None,
        made: false,
        quota_left: 0,
    })
}

fn issued(
    state: &ClientState,
    handover_seconds: Option<u32>,
    random: [u8; RANDOM_BYTES],
    keyring: &Keyring,
    now: Timestamp,
) -> (Slot, Answer) {
    let client = &state.client;
    let token = AccessToken::from_random(client.environment, client.id, random);
    let (key, digest) = keyring.new_token(&token);
    let lifetime = client.settings.token_lifetime_seconds;
    let valid_till = lifetime.map(|seconds| now.plus_seconds(seconds.into()));
    let previous = handover_seconds
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| {
            let live = state.slot.live(now)?;
            let end = now.plus_seconds(seconds.into());
            let valid_till = live.valid_till.map_or(end, |till| till.min(end));
            Some(Previous {
                digest: live.digest,
                key: live.key,
                valid_till,
            })
        });
    let slot = state.slot.issue(
        TokenRecord {
            digest,
            key,
            issued_at: now,
            valid_till,
        },
        previous,
    );
    let answer = Answer {
        token,
        generation: slot.generation,
        issued_at: now,
        valid_till,
        previous_valid_till: previous.map(|p| p.valid_till),
        secret: None,
        made: true,
        quota_left: 0,
    };
    (slot, answer)
}
