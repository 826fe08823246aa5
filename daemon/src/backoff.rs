//! How long to wait before trying again, and trying again until the server has answered.

use std::{fmt::Display, future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};

use uuid::Uuid;

use crate::api::{ApiError, Verdict};

/// From a quarter of a second up to half a minute, without an end, and never in step with others.
///
/// Jitter adds up to as much again, so that the longest wait is twice the fifteen seconds here.
pub(crate) fn patient() -> ExponentialBuilder {
    // Without a seed every process has the same jitter.
    let (seed, _) = Uuid::new_v4().as_u64_pair();
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(15))
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
}

/// Repeats a call until the server says yes or no; only what may pass by itself is repeated.
pub(crate) async fn until_answered<T, F, Fut>(what: &'static str, call: F) -> Result<T, ApiError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    call.retry(patient())
        .when(|error| error.verdict() == Verdict::Passing)
        .notify(|error, delay| warn_of(what, error, delay))
        .await
}

/// Like [`until_answered`], and takes a refused token too for something that an operator will mend:
/// for what must not be given up while there is any hope.
pub(crate) async fn until_settled<T, F, Fut>(what: &'static str, call: F) -> Result<T, ApiError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    call.retry(patient())
        .when(|error| matches!(error.verdict(), Verdict::Passing | Verdict::Denied))
        .notify(|error, delay| warn_of(what, error, delay))
        .await
}

fn warn_of(what: &'static str, error: &impl Display, delay: Duration) {
    tracing::warn!(%error, retry.in_ms = delay.as_millis(), "cannot {what} yet");
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_never_end() {
        let delays: Vec<_> = patient().build().take(50).collect();
        assert_eq!(delays.len(), 50);
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(30)));
        assert!(delays[0] < Duration::from_millis(501));
        assert!(delays[49] >= Duration::from_secs(15));
    }

    #[test]
    fn no_two_daemons_are_in_step() {
        let delays = || patient().build().take(5).collect::<Vec<_>>();
        assert_ne!(delays(), delays());
    }
}
