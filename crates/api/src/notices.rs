//! Webhooks, and the notices that were sent by webhook and e-mail.

use crate::{NoticeCursor, NotificationState, ShownWebhookSecret, Time};
use uuid::Uuid;

words! {
    /// Whether a notice was delivered.
    NoticeState {
        /// It waits for an attempt.
        Waiting = "waiting",
        /// It was delivered.
        Delivered = "delivered",
        /// It is not attempted again.
        GivenUp = "given_up",
    }
}

words! {
    /// An event of which an address or a webhook can be notified.
    NoticeEvent {
        /// An access token was generated.
        TokenGenerated = "token.generated",
        /// An access token was revoked.
        TokenRevoked = "token.revoked",
        /// An access token expires soon.
        TokenExpiring = "token.expiring",
        /// A token that a newer one replaced is still presented.
        TokenSupersededInUse = "token.superseded_in_use",
        /// Much of a daily quota is used.
        QuotaReached = "quota.reached",
        /// A client secret was created.
        SecretCreated = "secret.created",
        /// A client secret was deleted.
        SecretDeleted = "secret.deleted",
        /// An API client was created.
        ClientCreated = "client.created",
        /// The settings of an API client were changed.
        ClientChanged = "client.changed",
        /// An API client was disabled.
        ClientDisabled = "client.disabled",
        /// An API client was enabled.
        ClientEnabled = "client.enabled",
        /// An API client was deleted.
        ClientDeleted = "client.deleted",
        /// An API client is not used.
        ClientUnused = "client.unused",
    }
}

words! {
    /// When a notice of an event is sent.
    NoticeDelivery {
        /// When it happens.
        Immediate = "immediate",
        /// Once a day, in one email with the rest.
        Daily = "daily",
        /// Never.
        Off = "off",
    }
}

answers! {
    /// The delivery of an event to an address or a webhook.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct NoticePreference {
        /// The event.
        pub event: NoticeEvent,
        /// immediate or off for webhooks
        pub delivery: NoticeDelivery,
    }

    /// An address that API clients of a workspace name for their notices.
    pub struct WorkspaceAddress {
        /// The address, in lower case.
        pub email: String,
        /// notices are sent to confirmed addresses only; stopped: by the owner of the address
        pub state: NotificationState,
        /// The delivery of each event.
        pub preferences: Vec<NoticePreference>,
    }

    /// A webhook.
    pub struct Webhook {
        /// Its id.
        pub id: Uuid,
        /// Its workspace.
        pub workspace_id: Uuid,
        /// The address that notices are sent to.
        pub url: String,
        /// Until when messages are signed with the former secret too.
        pub former_secret_until: Option<Time>,
        /// Whether nothing is sent to it.
        pub disabled: bool,
        /// Since when.
        pub disabled_at: Option<Time>,
        /// When it was created.
        pub created_at: Time,
        /// who created it, as the audit log names actors; null: not known
        pub created_by: Option<String>,
        /// What people wrote to recognise it by; may be empty.
        pub note: String,
        /// The delivery of each event.
        pub preferences: Vec<NoticePreference>,
    }

    /// A webhook with its new signing secret.
    pub struct WebhookWithSecret {
        /// The webhook.
        pub webhook: Webhook,
        /// The secret, which is shown once.
        pub secret: ShownWebhookSecret,
    }

    /// A notice that is on its way.
    pub struct NoticeMade {
        /// Its id.
        pub notice_id: Uuid,
    }

    /// A notice.
    pub struct Notice {
        /// Its id.
        pub id: Uuid,
        /// What happened.
        #[serde(rename = "type")]
        #[cfg_attr(feature = "openapi", schemars(extend("examples" = ["token.generated", "token.expiring", "quota.reached"])))]
        pub kind: String,
        /// To which API client, if to one.
        pub client_id: Option<Uuid>,
        /// The webhook it is sent to.
        pub webhook_id: Option<Uuid>,
        /// The address it is sent to.
        pub email: Option<String>,
        /// Whether it was delivered.
        pub state: NoticeState,
        /// When it was made.
        pub created_at: Time,
        /// How many attempts there were.
        pub attempts: u64,
        /// When the next one is.
        pub next_attempt_at: Option<Time>,
        /// When it was delivered.
        pub delivered_at: Option<Time>,
        /// Why the last attempt failed.
        pub last_error: Option<String>,
    }

    /// A page of notices.
    pub struct NoticePage {
        /// The notices, newest first.
        pub items: Vec<Notice>,
        /// The cursor of the next page; null on the last.
        pub next_cursor: Option<NoticeCursor>,
    }
}

requests! {
    /// A new webhook.
    pub struct WebhookCreate {
        /// HTTPS, to a public address or a network that the server's configuration allows
        #[cfg_attr(feature = "openapi", schemars(length(max = 2_048), extend("format" = "uri", "examples" = ["https://hook.example/tokenward"])))]
        pub url: String,
        /// deliveries of single events; immediate where an event is left out
        #[serde(skip_serializing_if = "Option::is_none")]
        pub preferences: Option<Vec<PreferenceChange>>,
        /// to recognise the webhook by
        #[serde(skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }

    /// A change of a webhook. What is left out stays.
    pub struct WebhookChange {
        /// Whether nothing is sent to it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub disabled: Option<bool>,
        /// New deliveries of single events.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub preferences: Option<Vec<PreferenceChange>>,
        /// to recognise the webhook by; empty: none
        #[serde(skip_serializing_if = "Option::is_none")]
        pub note: Option<String>,
    }

    /// A change of the preferences of an address. Events that are left out stay.
    pub struct AddressChange {
        /// the address, upper or lower case
        pub email: String,
        /// New deliveries of single events.
        pub preferences: Vec<PreferenceChange>,
    }

    /// The new delivery of an event.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct PreferenceChange {
        /// The event.
        #[cfg_attr(feature = "openapi", schemars(with = "NoticeEvent"))]
        pub event: String,
        /// immediate or off for webhooks
        #[cfg_attr(feature = "openapi", schemars(with = "NoticeDelivery"))]
        pub delivery: String,
    }
}
