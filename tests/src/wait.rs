//! Waiting for a condition, with a limit. Nothing in the harness sleeps for a time and hopes.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often a condition is looked at. Small beside what is waited for, large beside the cost of a look.
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks until `condition` gives something. Its error ends the wait at once: it is for what can never become true.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what}, in vain", limit.as_secs());
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_happens_is_named_with_its_limit() {
        let never = async || Ok(None::<()>);
        let error = until("godot", Duration::from_secs(7), never).await.unwrap_err();
        assert_eq!(error.to_string(), "waited 7 s for godot, in vain");
    }

    #[tokio::test(start_paused = true)]
    async fn the_impossible_is_not_waited_for() {
        let started = Instant::now();
        let impossible = async || bail!("dead");
        let outcome: Result<()> = until("a sign of life", Duration::from_secs(7), impossible).await;
        assert_eq!(outcome.unwrap_err().to_string(), "dead");
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
