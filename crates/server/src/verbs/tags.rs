//! Tags of API clients: read by those who see the client, changed by those who may change it.

use super::one_client::{Read, decide, entry, wants};
use super::prelude::*;
use std::collections::HashMap;
use tokenward_api::{TAG_BYTES_MAX, TAGS_MAX};
use tokenward_core::client::Workspace;
use tokenward_core::ids::ClientNo;
use tokenward_core::label::Slug;
use tokenward_store::TagWrite;

/// A tag as written.
pub fn parse(text: &str) -> Result<Slug, Refused> {
    let parsed = Slug::parse(text)
        .ok()
        .filter(|tag| tag.as_str().len() <= TAG_BYTES_MAX);
    parsed.ok_or_else(|| {
        let why = format!(
            "use 1 to {TAG_BYTES_MAX} lowercase letters and digits, in groups joined by single hyphens"
        );
        Refused::Invalid("tag", why)
    })
}

/// Adds a tag to a client, or removes it.
///
/// # Errors
/// [`Refused::Invalid`] when a client has too many. Two administrators at the same moment may add one more each.
pub async fn set(
    data: &Data,
    admin: Admin,
    id: ClientId,
    tag: Slug,
    has: bool,
) -> Result<Read, Refused> {
    let known = super::clients::show(data, &admin, id).await?.tags;
    let had = known.iter().any(|one| one == tag.as_str());
    if has && !had && known.len() >= TAGS_MAX {
        let why = format!("an API client has at most {TAGS_MAX} tags; remove one first");
        return Err(Refused::Invalid("tag", why));
    }
    let decided = decide(data, admin, wants(id), move |acting, _, state| {
        if had == has {
            return Ok((Decided::nothing(), state.clone(), ()));
        }
        let label = &state.client.settings.label;
        let (action, write) = match has {
            true => {
                let workspace = state.client.workspace;
                let added = TagWrite::Added(state.client.no, workspace, tag.clone());
                ("client.tag", added)
            }
            false => (
                "client.untag",
                TagWrite::Removed(state.client.no, tag.clone()),
            ),
        };
        let detail = json!({ "label": label, "tag": tag });
        let entry = entry(acting, action, state, &detail);
        let decided = Decided::records(vec![Record::Tag(write)], entry);
        Ok((decided, state.clone(), ()))
    });
    decided.await.map(|(read, ())| read)
}

/// The tags of clients that their reader may see.
pub async fn of(
    data: &Data,
    clients: &[ClientNo],
) -> Result<HashMap<ClientNo, Vec<String>>, StoreError> {
    let mut tags: HashMap<ClientNo, Vec<String>> = HashMap::new();
    for (client, tag) in data.reader().tags(clients).await? {
        tags.entry(client).or_default().push(tag);
    }
    Ok(tags)
}

/// Tags to filter the clients of a workspace by; none for those who do not see all of its clients.
pub async fn offered(
    data: &Data,
    admin: &Admin,
    workspace: &Workspace,
) -> Result<Vec<String>, Refused> {
    admin.must_see_workspace(workspace.id)?;
    if !admin.sees_all_clients() {
        return Ok(Vec::new());
    }
    Ok(data.reader().tags_of_workspace(workspace.no).await?)
}
