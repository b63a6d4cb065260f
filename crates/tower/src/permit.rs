//! The proof that a request was checked, as the handler sees it.

use std::sync::Arc;
use tokenward_core::{Environment, Timestamp};
use uuid::Uuid;

/// Proof that the check permitted this request, and who sent it.
///
/// Only the check makes one, so a handler that takes it as an argument can't be reached without a check.
#[derive(Clone, Debug)]
pub struct Permit {
    origin: Origin,
    product: Arc<str>,
}

#[derive(Clone, Debug)]
enum Origin {
    Replica(tokenward_core::Permit),
    Node(Arc<Told>),
}

/// What a node told of a permit.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) workspace: Uuid,
    pub(crate) client: Uuid,
    pub(crate) label: String,
    pub(crate) environment: Environment,
    pub(crate) generation: u32,
    pub(crate) valid_till: Option<String>,
}

impl Permit {
    pub(crate) fn of_replica(permit: tokenward_core::Permit, product: Arc<str>) -> Self {
        let origin = Origin::Replica(permit);
        Self { origin, product }
    }

    pub(crate) fn of_node(told: Told, product: Arc<str>) -> Self {
        let origin = Origin::Node(Arc::new(told));
        Self { origin, product }
    }

    /// What a replica, or a node, says.
    fn says<'a, T>(
        &'a self,
        replica: impl FnOnce(&'a tokenward_core::Permit) -> T,
        node: impl FnOnce(&'a Told) -> T,
    ) -> T {
        match &self.origin {
            Origin::Replica(permit) => replica(permit),
            Origin::Node(told) => node(told),
        }
    }

    /// The caller's workspace.
    #[must_use]
    pub fn workspace(&self) -> Uuid {
        self.says(|permit| permit.workspace().0, |told| told.workspace)
    }

    /// The API client.
    #[must_use]
    pub fn client(&self) -> Uuid {
        self.says(|permit| permit.client().0, |told| told.client)
    }

    /// The client's label, printable ASCII: `%` and everything else percent-encoded.
    #[must_use]
    pub fn label(&self) -> &str {
        self.says(|permit| permit.label(), |told| told.label.as_str())
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> Environment {
        self.says(|permit| permit.environment(), |told| told.environment)
    }

    /// The slug of the product the request was checked for.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The token's generation; with the client it names the token.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.says(|permit| permit.generation(), |told| told.generation)
    }

    /// When the token ends, such as `2026-11-23T10:15:30+00:00`; none means never.
    #[must_use]
    pub fn valid_till(&self) -> Option<String> {
        let iso = |permit: &tokenward_core::Permit| permit.valid_till().map(Timestamp::iso);
        self.says(iso, |told| told.valid_till.clone())
    }
}

/// With the feature `axum`, a permit is an extractor. A route that is not behind the layer answers 500.
#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for Permit {
    type Rejection = (http::StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let permit = parts.extensions.get::<Self>().cloned();
        permit.ok_or((
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "this route is not behind Tokenward's check",
        ))
    }
}
