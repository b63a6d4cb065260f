//! A check as the server answers it: the core decides (`core/src/check/decide.rs`), and here it is counted and what is refused is noted.

use super::prelude::*;
use crate::logs::Limit;
use crate::metering::denials::Denied;
use crate::net::addresses;
use crate::trace_context::Traced;
use tokenward_core::check::denial::Refusal;
use tokenward_core::check::{Denial, Facts, Permit, Presented, Verdict};
use tokenward_core::{AccessToken, Environment};
use tokenward_store::counts::Outcome;

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
pub(crate) fn check(
    data: &Data,
    (environment, product): (&str, &str),
    presented: Presented<'_>,
    address: Option<IpAddr>,
    traced: Traced<'_>,
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
            let stated = (environment, product);
            refuse(data, stated, presented, (address, traced), refusal)
        }
    }
}

/// Counts a refusal and leaves its line in the log.
pub(crate) fn refuse(
    data: &Data,
    (environment, product): (&str, &str),
    presented: Presented<'_>,
    (address, traced): (Option<IpAddr>, Traced<'_>),
    refusal: Refusal,
) -> CheckAnswer {
    let _lines = traced.lines().entered();
    data.metrics.checked(refusal.code());
    let error_id = random::uuid();
    let answer = (refusal, error_id);
    note((data, address), (environment, product), presented, answer);
    CheckAnswer::Refused { refusal, error_id }
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

/// Denials noted in a second; callers decide how many there are.
static DENIALS_NOTED: Limit = Limit::new(1_000, 1);

/// Keeps the denial for those who look for it, and writes a line. The client in both is the one the token names, proved
/// or not.
fn note(
    (data, address): (&Data, Option<IpAddr>),
    (environment, product): (&str, &str),
    presented: Presented<'_>,
    (refusal, error_id): (Refusal, Uuid),
) {
    let line = DENIAL_LINES.admit(data.clock().boot());
    let noted = DENIALS_NOTED.admit(data.clock().boot()).is_some();
    if line.is_none() && !noted {
        return;
    }
    let token = match presented {
        Presented::One(text) => AccessToken::parse(text).ok(),
        Presented::Missing | Presented::Repeated => None,
    };
    let client = token.map(|token| token.client());
    if noted {
        let why = (refusal.code(), refusal.sentence().to_owned());
        let denied = Denied::new(data.clock().wall(), error_id, why, address);
        let proved = match &refusal {
            Refusal::Denied(denial) => Outcome::of(denial).is_some(),
            Refusal::CannotVouch | Refusal::CallerNotAllowed => false,
        };
        let denied = denied.of(client, proved).about(environment, product);
        data.denials.note(denied);
    }
    let Some(left_out) = line else {
        return;
    };
    let left_out = (left_out > 0).then_some(left_out);
    let client = client.map(tracing::field::display);
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
