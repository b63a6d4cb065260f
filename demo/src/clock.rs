//! The demo's one clock: how long something took, and waiting for a condition with a deadline.

use std::time::{Duration, Instant};

use crate::story::Surprise;

/// Rest between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs from its making on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo's clock: it tells the reader how long things took"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Looks until `look` yields a value; an error ends the waiting at once, `limit` ends it as a surprise.
pub(crate) async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Surprise>,
) -> Result<T, Surprise> {
    let looking = async {
        let mut rests = tokio::time::interval(PAUSE);
        loop {
            rests.tick().await;
            if let Some(value) = look().await? {
                return Ok(value);
            }
        }
    };
    tokio::time::timeout(limit, looking)
        .await
        .unwrap_or_else(|_| {
            Err(Surprise::new(format!(
                "waited {limit:?} in vain for {what}"
            )))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn yields_the_value_the_error_or_the_deadline() {
        let mut looks = 0;
        let third = wait_until("the third look", Duration::from_secs(10), async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(third.await.unwrap(), 3);

        let broken = wait_until::<()>("x", Duration::from_secs(10), async || {
            Err(Surprise::new("broken"))
        });
        assert_eq!(broken.await.unwrap_err().to_string(), "broken");

        let never = wait_until::<()>("a blue moon", PAUSE, async || Ok(None));
        let told = never.await.unwrap_err().to_string();
        assert!(told.ends_with("in vain for a blue moon"), "{told}");
    }
}
