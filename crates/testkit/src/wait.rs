//! Waiting for a condition, with a deadline. The one place in the tests that lets time pass: a test
//! names what it waits for, it never guesses how long that takes.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long to rest between two looks at the condition: short beside anything worth waiting for,
/// long enough to leave both cores to the process waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// What one look at a condition yields: whether it is met, or the value waited for.
pub trait Look {
    /// What there is when the condition is met.
    type Value;

    /// The value, when the condition is met.
    fn value(self) -> Option<Self::Value>;
}

impl Look for bool {
    type Value = ();

    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Look for Option<T> {
    type Value = T;

    fn value(self) -> Option<T> {
        self
    }
}

/// Looks at `condition` until it is true or yields a value, and returns that value.
///
/// # Panics
/// When `limit` has passed; the message names `what`.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where tests let time pass"
)]
pub fn wait_until<L: Look>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> L,
) -> L::Value {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().value() {
            return value;
        }
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(PAUSE);
    }
}

/// The next connection to a listener.
///
/// # Panics
/// When nobody connects within `limit`; the message names `what`.
pub fn accept(listener: &TcpListener, what: &str, limit: Duration) -> TcpStream {
    let switch = |on| {
        listener
            .set_nonblocking(on)
            .expect("a listener that can be polled")
    };
    switch(true);
    let (stream, _) = wait_until(what, limit, || listener.accept().ok());
    switch(false);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_first_value() {
        let mut looks = 0;
        let value = wait_until("the third look", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "in vain for a caller")]
    fn caller_that_never_comes_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        accept(&listener, "a caller", Duration::from_millis(5));
    }

    #[test]
    #[should_panic(expected = "in vain for a blue moon")]
    fn names_what_never_came() {
        wait_until("a blue moon", Duration::from_millis(5), || false);
    }
}
