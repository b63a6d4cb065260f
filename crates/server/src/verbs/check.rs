//! The check: may a request with this token pass? It is decided from memory, and counted.

use crate::data::Data;
use crate::logs::Limit;
use crate::net::addresses;
use crate::random;
use std::net::IpAddr;
use tokenward_core::time::Clock;
use tokenward_core::verdict::denial::Refusal;
use tokenward_core::verdict::{Denial, Facts, Permit, Presented, Verdict};
use tokenward_core::{AccessToken, Environment};
use uuid::Uuid;

/// The answer to a check.
#[derive(Debug)]
pub enum CheckAnswer {
    /// The request may pass.
    Permit(Permit),
    /// It may not.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The id of the answer, under which the log has a line.
        error_id: Uuid,
    },
}

/// Decides about a token for the environment and the product that the gateway's configuration names. What is not
/// permitted leaves a line in the log.
pub fn check(
    data: &Data,
    environment: &str,
    product: &str,
    presented: Presented<'_>,
    address: Option<IpAddr>,
) -> CheckAnswer {
    let decided = match Environment::parse(environment) {
        None => Err(Refusal::Denied(Denial::ProductUnknown)),
        Some(environment) => {
            let began = data.metrics.times_check().then(|| data.clock().boot());
            let facts = Facts {
                environment,
                product,
                address,
            };
            let decided = examine(data, presented, &facts, Counted::Yes);
            if let Some(began) = began {
                let nanoseconds = data.clock().boot().0.saturating_sub(began.0);
                data.metrics.check_took(nanoseconds as f64 / 1e9);
            }
            decided
        }
    };
    match decided {
        Ok(permit) => {
            data.metrics.permitted();
            CheckAnswer::Permit(permit)
        }
        Err(refusal) => {
            data.metrics.checked(refusal.code());
            let error_id = random::uuid();
            let answer = (refusal, error_id);
            log((data, address), (environment, product), presented, answer);
            CheckAnswer::Refused { refusal, error_id }
        }
    }
}

/// Whether an answer is counted as the client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    /// It is one request of the client's.
    Yes,
    /// The client asked about its own token.
    No,
}

/// Examines a token.
pub(crate) fn examine(
    data: &Data,
    presented: Presented<'_>,
    facts: &Facts<'_>,
    counted: Counted,
) -> Result<Permit, Refusal> {
    let examined = data.replica().examine(presented, facts, &data.clock());
    match examined.verdict {
        Verdict::Permit(permit) => {
            if counted == Counted::Yes {
                data.counts.permitted(&permit, facts.address);
                data.usage.note(data.replica(), &permit, facts.address);
            }
            Ok(permit)
        }
        Verdict::Deny(denial) => {
            if let (Some(holder), Counted::Yes) = (examined.holder, counted) {
                let now = data.clock().wall();
                data.counts
                    .denied(holder, examined.product, &denial, facts.address, now);
            }
            Err(Refusal::Denied(denial))
        }
        Verdict::CannotVouch => Err(Refusal::CannotVouch),
    }
}

/// Lines about denials in a second; callers decide how many there are.
static DENIAL_LINES: Limit = Limit::new(100, 1);

/// The client in the line is the one the token names, proved or not.
fn log(
    (data, address): (&Data, Option<IpAddr>),
    (environment, product): (&str, &str),
    presented: Presented<'_>,
    (refusal, error_id): (Refusal, Uuid),
) {
    let Some(left_out) = DENIAL_LINES.admit(data.clock().boot()) else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let token = match presented {
        Presented::One(text) => AccessToken::parse(text).ok(),
        Presented::Missing | Presented::Repeated => None,
    };
    let client = token.map(|token| tracing::field::display(token.client()));
    let source = addresses::text(address);
    let (environment, product) = (crate::logs::safe(environment), crate::logs::safe(product));
    tracing::info!(
        environment,
        product,
        client,
        source,
        code = refusal.code(),
        %error_id,
        left_out,
        "check denied"
    );
}
