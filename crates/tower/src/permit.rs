//! The proof that a request was checked, as the handler sees it.

use std::sync::Arc;
use tokenward_core::{Environment, Timestamp};
use uuid::Uuid;

/// Proof that the check permitted this request, and who sent it.
///
/// Only the check makes one, so a handler that takes it as an argument can't be reached without a check.
#[derive(Clone, Debug)]
pub struct Permit(Origin);

#[derive(Clone, Debug)]
enum Origin {
    Replica {
        permit: tokenward_core::Permit,
        product: Arc<str>,
    },
    Node(Arc<Told>),
}

/// What a node told of a permit.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) workspace: Uuid,
    pub(crate) client: Uuid,
    pub(crate) label: String,
    pub(crate) environment: Environment,
    pub(crate) product: Arc<str>,
    pub(crate) generation: u32,
    pub(crate) valid_till: Option<String>,
}

impl Permit {
    pub(crate) fn of_replica(permit: tokenward_core::Permit, product: Arc<str>) -> Self {
        Self(Origin::Replica { permit, product })
    }

    pub(crate) fn of_node(told: Told) -> Self {
        Self(Origin::Node(Arc::new(told)))
    }

    /// The caller's workspace.
    #[must_use]
    pub fn workspace(&self) -> Uuid {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.workspace().0,
            Origin::Node(told) => told.workspace,
        }
    }

    /// The API client.
    #[must_use]
    pub fn client(&self) -> Uuid {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.client().0,
            Origin::Node(told) => told.client,
        }
    }

    /// The client's label, printable ASCII: `%` and everything else percent-encoded.
    #[must_use]
    pub fn label(&self) -> &str {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.label(),
            Origin::Node(told) => &told.label,
        }
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> Environment {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.environment(),
            Origin::Node(told) => told.environment,
        }
    }

    /// The slug of the product the request was checked for.
    #[must_use]
    pub fn product(&self) -> &str {
        match &self.0 {
            Origin::Replica { product, .. } => product,
            Origin::Node(told) => &told.product,
        }
    }

    /// The token's generation; with the client it names the token.
    #[must_use]
    pub fn generation(&self) -> u32 {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.generation(),
            Origin::Node(told) => told.generation,
        }
    }

    /// When the token ends, such as `2026-11-23T10:15:30+00:00`; none means never.
    #[must_use]
    pub fn valid_till(&self) -> Option<String> {
        match &self.0 {
            Origin::Replica { permit, .. } => permit.valid_till().map(Timestamp::iso),
            Origin::Node(told) => told.valid_till.clone(),
        }
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
