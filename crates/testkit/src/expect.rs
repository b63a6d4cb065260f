//! Assertions for tests: what a call must be answered, and what a text must hold. A failure names the test's own line and
//! shows the whole answer or text.

use crate::{Answer, Broken};
use serde_json::Value;
use std::panic::Location;

/// What a call comes back with: an answer, or none because the connection broke.
pub trait Answered {
    /// The answer; `at` is the line that needs it.
    ///
    /// # Panics
    /// When there is none.
    fn answer(self, at: &Location<'_>) -> Answer;
}

impl Answered for Answer {
    fn answer(self, _: &Location<'_>) -> Answer {
        self
    }
}

impl Answered for Result<Answer, Broken> {
    fn answer(self, at: &Location<'_>) -> Answer {
        self.unwrap_or_else(|error| panic!("{at}: {error}"))
    }
}

/// The answer of a call, which must have this status.
///
/// # Panics
/// When it has another, or there is none.
#[track_caller]
pub fn expect_status(
    call: impl Future<Output = impl Answered>,
    status: u16,
) -> impl Future<Output = Answer> {
    let at = Location::caller();
    async move {
        let answer = call.await.answer(at);
        assert_eq!(answer.status, status, "{at}: {}", answer.body);
        answer
    }
}

/// The body of a call's answer as JSON; it must have this status.
///
/// # Panics
/// When it has another, is no JSON, or there is none.
#[track_caller]
pub fn expect_json(
    call: impl Future<Output = impl Answered>,
    status: u16,
) -> impl Future<Output = Value> {
    let answer = expect_status(call, status);
    async move { answer.await.json() }
}

/// The answer of a call, which must have this status and error code, in whichever of the dialects the code stands.
///
/// # Panics
/// When either differs, or there is none.
#[track_caller]
pub fn expect_error(
    call: impl Future<Output = impl Answered>,
    status: u16,
    code: &str,
) -> impl Future<Output = Answer> {
    let at = Location::caller();
    async move {
        let answer = call.await.answer(at);
        let seen = (answer.status, answer.code().unwrap_or_default());
        let expected = (status, code.to_owned());
        assert_eq!(seen, expected, "{at}: {}", answer.body);
        answer
    }
}

/// Asserts that a text holds a part.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is missing in {text}");
}

/// Asserts that a text holds all of these parts.
///
/// # Panics
/// When one is missing.
#[track_caller]
pub fn assert_contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert_contains(text, part);
    }
}

/// Asserts that a text does not hold a part.
///
/// # Panics
/// When it does.
#[track_caller]
pub fn assert_lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "{part:?} is in {text}");
}
