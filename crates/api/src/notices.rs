//! Webhooks, and the notices that were sent by webhook and e-mail.

use crate::{NoticeCursor, ShownWebhookSecret, Time};
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

answers! {
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
    }

    /// A change of a webhook.
    pub struct WebhookChange {
        /// Whether nothing is sent to it.
        pub disabled: bool,
    }
}
