//! A client's secrets and tokens by an administrator's hand: rotate, delete, generate, revoke.

use super::credential_notes;
use super::one_client::{Read, decide, deleted, entry, wants};
use super::prelude::*;
use tokenward_core::ClientSecret;
use tokenward_core::client::{ClientState, SecretRecord};
use tokenward_core::generate::{self, Answer, Rejection};
use tokenward_core::seal;

/// Adds a second secret beside the one in use; the secret is told here and never again.
pub async fn rotate_secret(
    data: &Data,
    admin: Admin,
    id: ClientId,
    note: &str,
) -> Result<(Read, u32, ClientSecret), Refused> {
    let note = credential_notes::parse(note)?;
    let keyring = Arc::clone(&data.keyring);
    let decided = decide(data, admin, wants(id), move |acting, view, state| {
        let client = &state.client;
        let free = client.secrets.iter().position(Option::is_none);
        let free = free.ok_or_else(|| {
            let why = "the API client has two secrets already; delete one first";
            Refused::Conflict(Conflict::TooManySecrets, why.into())
        })?;
        let secret = ClientSecret::from_random(client.environment, client.id, random::bytes());
        let key = keyring.current();
        let digest = keyring.secret(key, &secret);
        let digest = digest.ok_or(Refused::Failed(Failure::Unavailable))?;
        let n = client.next_secret;
        let mut after = state.clone();
        let created_at = view.now;
        after.client.secrets[free] = Some(SecretRecord {
            n,
            digest,
            key,
            created_at,
        });
        after.client.next_secret = n + 1;
        // The place keeps its count of the day: else deleting a secret and making another would give the client as many
        // tokens as it likes.
        let entry = entry(acting, "secret.create", state, &json!({ "n": n }));
        let mut decided = Decided::changes(secrets_changed(state, &after), entry);
        let note = credential_notes::made(acting, id.0, n, &note);
        decided.records.push(note);
        Ok((decided, after, (n, secret)))
    });
    let (read, (n, secret)) = decided.await?;
    Ok((read, n, secret))
}

/// Deletes a secret by its number. Tokens it bought live on, but no sealed copy under it does; the
/// last secret may go too.
pub async fn delete_secret(
    data: &Data,
    admin: Admin,
    id: ClientId,
    n: u32,
) -> Result<Read, Refused> {
    let decided = decide(data, admin, wants(id), move |acting, _, state| {
        let is_it = |secret: &Option<SecretRecord>| secret.is_some_and(|secret| secret.n == n);
        let place = state.client.secrets.iter().position(is_it);
        let mut after = state.clone();
        after.client.secrets[place.ok_or(Refused::NotFound("secret"))?] = None;
        let sealed_by = after.slot.seal.as_deref().and_then(seal::sealed_by);
        if sealed_by == Some(n) {
            after.slot.seal = None;
        }
        let entry = entry(acting, "secret.delete", state, &json!({ "n": n }));
        let mut decided = Decided::changes(secrets_changed(state, &after), entry);
        decided.records.push(credential_notes::removed(id.0, n));
        Ok((decided, after, ()))
    });
    Ok(decided.await?.0)
}

/// The change of a client's secrets, and of its slot if that changed with them.
fn secrets_changed(before: &ClientState, after: &ClientState) -> Vec<Change> {
    let client = &after.client;
    let mut changes = vec![Change::SecretsChanged {
        client: client.no,
        secrets: client.secrets,
        next_secret: client.next_secret,
    }];
    if after.slot != before.slot {
        changes.push(Change::TokenEnded {
            client: client.no,
            slot: Box::new(after.slot.clone()),
        });
    }
    changes
}

/// Generates a token by an administrator's hand; it is told here and never again. With `at`, only while the newest
/// token is of that generation.
pub async fn generate_token(
    data: &Data,
    admin: Admin,
    id: ClientId,
    at: Option<u32>,
) -> Result<Answer, Refused> {
    let keyring = Arc::clone(&data.keyring);
    let decided = decide(data, admin, wants(id), move |acting, view, state| {
        let found = state.slot.generation;
        if at.is_some_and(|at| at != found) {
            let why = format!("a newer token was made meanwhile: generation {found}");
            return Err(Refused::Conflict(Conflict::GenerationMismatch, why));
        }
        let generated = generate::by_admin(state, random::fresh(), &keyring, view.now);
        let (changes, answer) = generated.map_err(|rejection| match rejection {
            Rejection::ClientDisabled => {
                let why = "the API client, or its workspace, is disabled";
                Refused::Conflict(Conflict::ClientDisabled, why.into())
            }
            _ => deleted(),
        })?;
        let valid_till = answer.valid_till.map(Timestamp::iso);
        let detail = json!({ "generation": answer.generation, "valid_till": valid_till });
        let entry = entry(acting, "token.generate", state, &detail);
        Ok((Decided::changes(changes, entry), state.clone(), answer))
    });
    let (read, answer) = decided.await?;
    data.counts.generated(read.state.client.no);
    Ok(answer)
}

/// Revokes a client's token without a new one; nothing live is no error.
pub async fn revoke_token(data: &Data, admin: Admin, id: ClientId) -> Result<Read, Refused> {
    let decided = decide(data, admin, wants(id), move |acting, view, state| {
        let Some(change) = generate::revoke(state, view.now) else {
            return Ok((Decided::nothing(), state.clone(), ()));
        };
        let mut after = state.clone();
        if let Change::TokenEnded { slot, .. } = &change {
            after.slot = slot.as_ref().clone();
        }
        let detail = json!({ "generation": state.slot.generation });
        let entry = entry(acting, "token.revoke", state, &detail);
        Ok((Decided::changes(vec![change], entry), after, ()))
    });
    Ok(decided.await?.0)
}
