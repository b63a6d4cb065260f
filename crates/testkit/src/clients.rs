//! API clients as a test makes and holds them.

use serde::Serialize;

/// The body of `POST /admin/v1/workspaces/{id}/clients`; fields left `None` are not sent, so the
/// server's defaults hold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewClient {
    /// Unique in its workspace and environment.
    pub label: String,
    /// `sandbox` or `production`.
    pub environment: String,
    /// The products it may call; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub products: Option<Vec<String>>,
    /// Seconds a token lives. Not sent: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_lifetime_seconds: Option<u64>,
    /// Networks from which the secret may be used; empty for everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_networks: Option<Vec<String>>,
    /// Networks from which tokens may be used; empty for everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_networks: Option<Vec<String>>,
    /// Whom notices go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_emails: Option<Vec<String>>,
    /// `replace` or `return`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_repeat: Option<String>,
    /// With `return`: a token with less left than this is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before_seconds: Option<u64>,
    /// The longest hand-over a generate may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover_max_seconds: Option<u64>,
}

impl NewClient {
    /// A sandbox client for all products.
    #[must_use]
    pub fn sandbox(label: &str) -> NewClient {
        NewClient::of("sandbox", label)
    }

    /// A production client for all products.
    #[must_use]
    pub fn production(label: &str) -> NewClient {
        NewClient::of("production", label)
    }

    fn of(environment: &str, label: &str) -> NewClient {
        NewClient {
            label: label.to_owned(),
            environment: environment.to_owned(),
            ..NewClient::default()
        }
    }

    /// Restricts it to these products.
    #[must_use]
    pub fn products(mut self, slugs: &[&str]) -> NewClient {
        self.products = Some(owned(slugs));
        self
    }

    /// Lets its tokens live this long.
    #[must_use]
    pub fn lifetime(mut self, seconds: u64) -> NewClient {
        self.token_lifetime_seconds = Some(seconds);
        self
    }

    /// Sends notices to these addresses.
    #[must_use]
    pub fn emails(mut self, addresses: &[&str]) -> NewClient {
        self.notification_emails = Some(owned(addresses));
        self
    }

    /// Restricts the networks from which its tokens may be used.
    #[must_use]
    pub fn token_networks(mut self, networks: &[&str]) -> NewClient {
        self.token_networks = Some(owned(networks));
        self
    }

    /// Restricts the networks from which its secret may be used.
    #[must_use]
    pub fn secret_networks(mut self, networks: &[&str]) -> NewClient {
        self.secret_networks = Some(owned(networks));
        self
    }

    /// Returns the live token while it has more than this many seconds left.
    #[must_use]
    pub fn returns(mut self, renew_before_seconds: u64) -> NewClient {
        self.on_repeat = Some("return".to_owned());
        self.renew_before_seconds = Some(renew_before_seconds);
        self
    }

    /// Allows hand-overs up to this long.
    #[must_use]
    pub fn handover(mut self, max_seconds: u64) -> NewClient {
        self.handover_max_seconds = Some(max_seconds);
        self
    }
}

/// An API client that exists, with the only copy of its first secret.
#[derive(Debug, Clone)]
pub struct ApiClient {
    /// Its UUID.
    pub id: String,
    /// Its label, which deleting asks for.
    pub label: String,
    /// `sandbox` or `production`.
    pub environment: String,
    /// The client secret.
    pub secret: String,
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
