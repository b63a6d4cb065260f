//! Which notices the addresses and webhooks of a workspace get, and when. Chosen by those who manage its webhooks,
//! because an address is notified about every client that names it.

use super::addresses::address_wants;
use super::prelude::*;
use super::webhooks;
use serde_json::{Map, Value};
use tokenward_store::notices::{
    AddressWrite, Delivery, EVENTS, NoticeAddress, Preferences, Target, folded_address,
};

/// Choices as they were made for one address or webhook.
#[derive(Clone, Debug)]
pub struct Choices {
    target: Target,
    all: Vec<(&'static str, Delivery)>,
}

impl Default for Choices {
    /// None, for a webhook.
    fn default() -> Self {
        Self {
            target: Target::Webhook(Uuid::nil()),
            all: Vec::new(),
        }
    }
}

/// What was changed, by event.
pub(super) struct Changed {
    from: Map<String, Value>,
    to: Map<String, Value>,
}

impl Changed {
    /// The detail of the audit entry.
    pub(super) fn detail(self, mut detail: Value) -> Value {
        detail["from"] = self.from.into();
        detail["to"] = self.to.into();
        detail
    }
}

fn refused(why: String) -> Refused {
    Refused::Invalid("preferences", why)
}

impl Choices {
    fn parse<'a>(
        target: Target,
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refused> {
        let one = |(event, word): (&str, &str)| {
            let shown: String = event.chars().filter(|c| !c.is_control()).take(64).collect();
            let known = EVENTS.into_iter().find(|known| *known == event);
            let event = known.ok_or_else(|| refused(format!("there is no event {shown:?}")))?;
            let delivery = Delivery::parse(word);
            let delivery = delivery
                .filter(|delivery| target == Target::Mail || *delivery != Delivery::Daily)
                .ok_or_else(|| {
                    refused(match target {
                        Target::Mail => {
                            format!("the delivery of {event} must be immediate, daily or off")
                        }
                        Target::Webhook(_) => {
                            format!("the delivery of {event} to a webhook must be immediate or off")
                        }
                    })
                })?;
            Ok::<_, Refused>((event, delivery))
        };
        let all = given.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { target, all })
    }

    /// For an address.
    ///
    /// # Errors
    /// [`Refused::Invalid`] for what is no event, or no delivery of an email.
    pub fn of_address<'a>(
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refused> {
        Self::parse(Target::Mail, given)
    }

    /// For a webhook.
    ///
    /// # Errors
    /// [`Refused::Invalid`] for what is no event, or no delivery to a webhook.
    pub fn of_webhook<'a>(
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refused> {
        Self::parse(Target::Webhook(Uuid::nil()), given)
    }

    /// Changes preferences; none when they said the same before.
    pub(super) fn change(&self, preferences: &mut Preferences) -> Option<Changed> {
        let mut changed = Changed {
            from: Map::new(),
            to: Map::new(),
        };
        for (event, delivery) in &self.all {
            let before = preferences.delivery(event, &self.target);
            if before != *delivery {
                preferences.choose(event, *delivery);
                changed
                    .from
                    .insert((*event).to_owned(), before.as_str().into());
                changed
                    .to
                    .insert((*event).to_owned(), delivery.as_str().into());
            }
        }
        (!changed.to.is_empty()).then_some(changed)
    }

    /// The preferences of what is new.
    pub(super) fn made(&self) -> Preferences {
        let mut preferences = Preferences::default();
        self.change(&mut preferences);
        preferences
    }
}

/// Every address that is known in a workspace, in alphabetical order.
pub async fn addresses(
    data: &Data,
    admin: &Admin,
    workspace: WorkspaceId,
) -> Result<Vec<NoticeAddress>, Refused> {
    webhooks::must_see(admin, workspace)?;
    let reader = data.reader();
    let known = reader.workspace(workspace).await?;
    known.ok_or(Refused::NotFound("workspace"))?;
    let mut all = reader.notice_addresses(workspace).await?;
    all.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(all)
}

/// Changes the preferences of an address of a workspace.
///
/// # Errors
/// [`Refused::Invalid`] for an address that no API client of the workspace names.
pub async fn set_address(
    data: &Data,
    admin: Admin,
    workspace: WorkspaceId,
    email: &str,
    choices: Choices,
) -> Result<NoticeAddress, Refused> {
    webhooks::must_manage(&admin, workspace)?;
    let wants = ReadSet {
        workspace: Some(workspace),
        addresses: Some(address_wants(workspace, &[])),
        ..ReadSet::default()
    };
    let address = folded_address(email);
    let decided = acting::decide(data, admin, wants, move |acting, view| {
        let known = view.workspace.as_ref();
        known.ok_or(Refused::NotFound("workspace"))?;
        let mut rows = view.addresses.rows.iter();
        let row = rows.find(|row| row.address == address);
        let mut row = row.cloned().ok_or_else(|| {
            let why = "must be a notification address of an API client in this workspace";
            Refused::Invalid("email", why.into())
        })?;
        let Some(changed) = choices.change(&mut row.preferences) else {
            return Ok((Decided::nothing(), row));
        };
        let detail = changed.detail(json!({ "email": row.address }));
        let place = Some(workspace);
        let entry = acting.entry("notice_address.preferences", place, None, &detail);
        let put = Record::NoticeAddress(AddressWrite::Put(row.clone()));
        Ok((Decided::records(vec![put], entry), row))
    });
    decided.await
}
