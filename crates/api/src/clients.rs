//! API clients, their secrets and their tokens.

use crate::{Environment, Label, Network, ShownAccessToken, ShownClientSecret, Slug, Time};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use tokenward_core::client::{
    EMAILS_MAX, HANDOVER_SECONDS_MAX, LIFETIME_SECONDS_MAX, PRODUCTS_MAX, RENEW_BEFORE_SECONDS_MAX,
    SECRETS,
};
#[cfg(feature = "openapi")]
use tokenward_core::restrictions::NETWORKS_MAX;
use uuid::Uuid;

/// Tags of one client: they stand beside others in a list.
pub const TAGS_MAX: usize = 10;
/// Longest tag, in bytes, all of them ASCII.
pub const TAG_BYTES_MAX: usize = 32;

words! {
    /// Whether an API client can be used.
    ClientState {
        /// It can.
        Enabled = "enabled",
        /// It can't until it is enabled.
        Disabled = "disabled",
        /// It can't any more.
        Deleted = "deleted",
    }
}

words! {
    /// What a client's newest token is worth.
    TokenState {
        /// There has never been one.
        None = "none",
        /// It is accepted.
        Live = "live",
        /// It is refused while the client or its workspace is disabled.
        Disabled = "disabled",
        /// Its time is over.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
    }
}

words! {
    /// What generating answers while a token is live.
    OnRepeat {
        /// A new token; the live one is revoked.
        Replace = "replace",
        /// The live token.
        Return = "return",
    }
}

words! {
    /// Whether the owner of an address wants notices.
    NotificationState {
        /// They were asked.
        Pending = "pending",
        /// They do.
        Confirmed = "confirmed",
        /// They don't.
        Stopped = "stopped",
    }
}

answers! {
    /// An API client.
    pub struct Client {
        /// Its id.
        pub id: Uuid,
        /// Its workspace.
        pub workspace_id: Uuid,
        /// Its label.
        pub label: Label,
        /// Its environment.
        pub environment: Environment,
        /// Its tags, in alphabetical order.
        #[cfg_attr(feature = "openapi", schemars(length(max = TAGS_MAX)))]
        pub tags: Vec<String>,
        /// The products that its tokens are good for; null: all.
        #[cfg_attr(feature = "openapi", schemars(length(max = PRODUCTS_MAX)))]
        pub products: Option<Vec<Slug>>,
        /// How long its tokens live; null: they never expire.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = LIFETIME_SECONDS_MAX)))]
        pub token_lifetime_seconds: Option<u32>,
        /// From where its secrets may be used; empty: from anywhere.
        #[cfg_attr(feature = "openapi", schemars(length(max = NETWORKS_MAX)))]
        pub secret_networks: Vec<Network>,
        /// From where its tokens may be used; empty: from anywhere.
        #[cfg_attr(feature = "openapi", schemars(length(max = NETWORKS_MAX)))]
        pub token_networks: Vec<Network>,
        /// The addresses that notices are sent to.
        #[cfg_attr(feature = "openapi", schemars(length(max = EMAILS_MAX)))]
        pub notification_emails: Vec<String>,
        /// The same, with what their owners said.
        #[cfg_attr(feature = "openapi", schemars(length(max = EMAILS_MAX)))]
        pub notification_addresses: Vec<NotificationAddress>,
        /// What generating answers while a token is live.
        pub on_repeat: OnRepeat,
        /// Seconds before its end from which a live token is replaced anyway.
        #[cfg_attr(feature = "openapi", schemars(range(max = RENEW_BEFORE_SECONDS_MAX)))]
        pub renew_before_seconds: u32,
        /// The longest grace period that a caller may ask for, in seconds.
        #[cfg_attr(feature = "openapi", schemars(range(max = HANDOVER_SECONDS_MAX)))]
        pub handover_max_seconds: u32,
        /// Whether it can be used.
        pub state: ClientState,
        /// When it was created.
        pub created_at: Time,
        /// When it was disabled.
        pub disabled_at: Option<Time>,
        /// When it was deleted.
        pub deleted_at: Option<Time>,
        /// Its secrets, without the secrets themselves.
        #[cfg_attr(feature = "openapi", schemars(length(max = SECRETS)))]
        pub secrets: Vec<SecretInfo>,
        /// Its newest token, without the token itself.
        pub token: ClientToken,
        /// When one of its tokens was last used.
        pub last_used_at: Option<Time>,
        /// From which IP address.
        pub last_used_from: Option<String>,
        /// For which product.
        pub last_used_product: Option<Slug>,
    }

    /// A client secret, without the secret itself.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct SecretInfo {
        /// Its number.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        pub n: u32,
        /// When it was created.
        pub created_at: Time,
        /// What people wrote to recognise it by; may be empty.
        pub note: String,
        /// Tokens that it generated today.
        pub quota_used_today: u32,
        /// Tokens that it can generate today.
        pub quota_left_today: u32,
    }

    /// A client's newest token, without the token itself.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct ClientToken {
        /// Its number; 0 when there has never been one.
        pub generation: u32,
        /// disabled: refused while the client or its workspace is disabled, accepted again when it is enabled
        pub state: TokenState,
        /// When it was generated.
        pub issued_at: Option<Time>,
        /// When it expires; null: never.
        pub valid_till: Option<Time>,
        /// When it was revoked.
        pub ended_at: Option<Time>,
        /// Until when the token before is accepted.
        pub previous_valid_till: Option<Time>,
        /// of this generation, to within a minute; null: not used yet
        pub last_used_at: Option<Time>,
        /// From which IP address.
        pub last_used_from: Option<String>,
    }

    /// An address that notices are sent to.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct NotificationAddress {
        /// The address.
        pub email: String,
        /// notices are sent to confirmed addresses only; stopped: by the owner of the address
        pub state: NotificationState,
        /// When its owner confirmed it.
        pub confirmed_at: Option<Time>,
        /// When its owner stopped notices.
        pub stopped_at: Option<Time>,
        /// of the last confirmation mail; null: none was sent yet, or its link was used
        pub link_expires_at: Option<Time>,
    }

    /// A new API client, with its first secret.
    pub struct ClientCreated {
        /// The client.
        pub client: Client,
        /// The secret, which is shown once.
        pub client_secret: ShownClientSecret,
    }

    /// An API client with a new secret.
    pub struct SecretCreated {
        /// The client.
        pub client: Client,
        /// The number of the new secret.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        pub n: u32,
        /// The secret, which is shown once.
        pub client_secret: ShownClientSecret,
    }

    /// A new access token.
    pub struct TokenByAdmin {
        /// The token, which is shown once.
        pub access_token: ShownAccessToken,
        /// Its number.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
        pub generation: u32,
        /// When it expires; null: never.
        pub valid_till: Option<Time>,
        /// In how many seconds it expires; null: never.
        pub expires_in: Option<u64>,
    }
}

requests! {
    /// The deletion of an API client.
    pub struct ClientDelete {
        /// the client's label, typed back
        pub label: String,
    }

    /// A new client secret.
    pub struct SecretCreate {
        /// to recognise the secret by
        pub note: Option<String>,
    }

    /// A change of a client secret.
    pub struct SecretChange {
        /// to recognise the secret by; empty: none
        pub note: String,
    }

    /// Which confirmation mails to send.
    pub struct ConfirmationMails {
        /// one of the client's notification emails; null: every one that is pending
        pub email: Option<String>,
    }

    /// The settings of an API client.
    pub struct ClientSettings {
        /// Its label.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Label>"))]
        pub label: Option<String>,
        /// Its environment, only at creation.
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Environment>"))]
        pub environment: Option<String>,
        /// the products allowed; "all" or null for all
        #[serde(default, skip_serializing_if = "Setting::is_absent")]
        pub products: Setting<Vec<String>>,
        /// "never" or null: tokens never expire; a change in which products is null too is refused
        #[serde(default, skip_serializing_if = "Setting::is_absent")]
        pub token_lifetime_seconds: Setting<u64>,
        /// from where the secret may be used; empty: everywhere; null counts as left out
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Network>>", length(max = NETWORKS_MAX)))]
        pub secret_networks: Option<Vec<String>>,
        /// from where tokens may be used; empty: everywhere; null counts as left out
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Network>>", length(max = NETWORKS_MAX)))]
        pub token_networks: Option<Vec<String>>,
        /// null counts as left out
        #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Email>>", length(max = EMAILS_MAX)))]
        pub notification_emails: Option<Vec<String>>,
        /// null counts as left out
        #[cfg_attr(feature = "openapi", schemars(with = "Option<OnRepeat>"))]
        pub on_repeat: Option<String>,
        /// null counts as left out
        #[cfg_attr(feature = "openapi", schemars(range(max = RENEW_BEFORE_SECONDS_MAX)))]
        pub renew_before_seconds: Option<u64>,
        /// null counts as left out
        #[cfg_attr(feature = "openapi", schemars(range(max = HANDOVER_SECONDS_MAX)))]
        pub handover_max_seconds: Option<u64>,
    }
}

/// A new API client.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientCreate(pub ClientSettings);

/// A change of an API client's settings. What is left out stays.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientPatch(pub ClientSettings);

/// A setting that can be left out, or lifted, or set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Setting<T> {
    /// Left out.
    #[default]
    Absent,
    /// JSON's null: no limit, but also what some tools send for a value that is not set.
    Null,
    /// Mentioned; none is the word for no limit.
    Given(Option<T>),
}

impl<T> Setting<T> {
    /// Whether it is left out.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, or none for no limit, if it was mentioned.
    #[must_use]
    pub fn given(&self) -> Option<Option<&T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Given(given) => Some(given.as_ref()),
        }
    }
}

/// A value with a word for no limit.
pub trait Unlimited {
    /// The word.
    const WORD: &'static str;
    /// What is expected, for an error.
    const EXPECTED: &'static str;
}

impl Unlimited for Vec<String> {
    const WORD: &'static str = "all";
    const EXPECTED: &'static str = "a list of product slugs, or \"all\"";
}

impl Unlimited for u64 {
    const WORD: &'static str = "never";
    const EXPECTED: &'static str = "a number of seconds, or \"never\"";
}

impl<T: Unlimited + Serialize> Serialize for Setting<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => to.serialize_none(),
            Self::Given(None) => to.serialize_str(T::WORD),
            Self::Given(Some(value)) => value.serialize(to),
        }
    }
}

impl<'de, T: Unlimited + Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum ValueOr<T> {
            Value(T),
            Word(String),
        }
        let wrong = || serde::de::Error::custom(format!("expected {}", T::EXPECTED));
        match Option::<ValueOr<T>>::deserialize(from).map_err(|_| wrong())? {
            None => Ok(Self::Null),
            Some(ValueOr::Value(value)) => Ok(Self::Given(Some(value))),
            Some(ValueOr::Word(word)) if word == T::WORD => Ok(Self::Given(None)),
            Some(ValueOr::Word(_)) => Err(wrong()),
        }
    }
}

#[cfg(feature = "openapi")]
mod schemas {
    use super::{ClientCreate, ClientPatch, ClientSettings, Setting};
    use crate::Slug;
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;
    use tokenward_core::client::{LIFETIME_SECONDS_MAX, PRODUCTS_MAX};
    use tokenward_core::label::EMAIL_BYTES_MAX;

    /// An address that notices are sent to, as it is written.
    pub(super) struct Email;

    schema!(
        Email,
        json_schema!({
            "type": "string", "maxLength": EMAIL_BYTES_MAX,
            "pattern": r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@[A-Za-z0-9.-]+$",
        })
    );

    schema!(Setting<Vec<String>>, {
        let slug = Slug::json_schema(&mut SchemaGenerator::default());
        let slugs = json_schema!({ "type": "array", "items": slug, "minItems": 1, "maxItems": PRODUCTS_MAX });
        json_schema!({ "anyOf": [slugs, { "const": "all" }, { "type": "null" }] })
    });

    schema!(Setting<u64>, {
        let seconds =
            json_schema!({ "type": "integer", "minimum": 1, "maximum": LIFETIME_SECONDS_MAX });
        json_schema!({ "anyOf": [seconds, { "const": "never" }, { "type": "null" }] })
    });

    impl JsonSchema for ClientCreate {
        fn schema_name() -> Cow<'static, str> {
            "ClientCreate".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let mut schema = ClientSettings::json_schema(generator);
            schema.insert("description".to_owned(), "A new API client.".into());
            for (name, value) in [
                ("label", crate::Label::json_schema(generator)),
                ("environment", crate::Environment::json_schema(generator)),
            ] {
                if let Some(members) = schema.get_mut("properties").and_then(|p| p.as_object_mut())
                {
                    members.insert(name.to_owned(), value.into());
                }
            }
            schema.insert(
                "required".to_owned(),
                ["label", "environment"].as_slice().into(),
            );
            schema
        }
    }

    impl JsonSchema for ClientPatch {
        fn schema_name() -> Cow<'static, str> {
            "ClientChange".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let mut schema = ClientSettings::json_schema(generator);
            let about = "A change of an API client's settings. What is left out stays.";
            schema.insert("description".to_owned(), about.into());
            if let Some(members) = schema.get_mut("properties").and_then(|p| p.as_object_mut()) {
                members.remove("environment");
            }
            schema
        }
    }
}

#[cfg(feature = "openapi")]
use schemas::Email;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn setting_is_absent_lifted_or_given() {
        let read = |body| from_value::<ClientSettings>(body).map(|settings| settings.products);
        assert_eq!(read(json!({})).unwrap(), Setting::Absent);
        assert_eq!(read(json!({"products": null})).unwrap(), Setting::Null);
        assert_eq!(
            read(json!({"products": "all"})).unwrap(),
            Setting::Given(None)
        );
        let gst = Setting::Given(Some(vec!["gst".to_owned()]));
        assert_eq!(read(json!({"products": ["gst"]})).unwrap(), gst);
        let error = read(json!({"products": "some"})).unwrap_err().to_string();
        assert!(
            error.contains("a list of product slugs, or \"all\""),
            "{error}"
        );
        let lifted = ClientSettings {
            products: Setting::Given(None),
            ..ClientSettings::default()
        };
        assert_eq!(to_value(lifted).unwrap()["products"], "all");
    }

    #[test]
    fn answer_of_another_version_can_be_read() {
        let client: Client = from_value(json!({"state": "resting", "new_member": 1})).unwrap();
        assert_eq!(
            (client.state, client.secrets.len()),
            (ClientState::Unknown, 0)
        );
    }

    #[test]
    fn credential_is_not_in_the_debug_text() {
        let created = ClientCreated {
            client_secret: ShownClientSecret::of("tw-secret.x"),
            ..ClientCreated::default()
        };
        assert!(!format!("{created:?}").contains("tw-secret"));
        assert_eq!(to_value(created).unwrap()["client_secret"], "tw-secret.x");
    }
}
