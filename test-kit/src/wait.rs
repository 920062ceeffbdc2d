//! Waiting for a condition with a deadline, the only way a test here may wait.
//!
//! It must never know what it waits for.

use std::time::Duration;

use tokio::time::Instant;

/// Pause between two looks at the condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `probe` answers `true`.
///
/// # Panics
/// When that has not happened within `within`.
pub async fn eventually<F, Fut>(within: Duration, mut probe: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_some(within, || {
        let answer = probe();
        async move { answer.await.then_some(()) }
    })
    .await;
}

/// Waits until `probe` answers with a value, and returns it.
///
/// # Panics
/// When that has not happened within `within`.
pub async fn eventually_some<T, F, Fut>(within: Duration, probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    match until(within, probe).await {
        Some(value) => value,
        None => panic!("the condition did not hold within {within:?}"),
    }
}

/// Waits until `probe` answers with a value; `None` when it has not within `within`.
///
/// The probe runs at least once, and a probe that hangs is given up at the deadline.
pub async fn until<T, F, Fut>(within: Duration, mut probe: F) -> Option<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = tokio::time::timeout_at(deadline, probe()).await.ok()? {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_as_soon_as_the_condition_holds() {
        let mut looks = 0;
        eventually(Duration::from_mins(1), || {
            looks += 1;
            let enough = looks == 3;
            async move { enough }
        })
        .await;
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    async fn gives_up_at_the_deadline_even_when_the_probe_hangs() {
        let answer = until(Duration::from_millis(20), || async {
            std::future::pending::<()>().await;
            Some(1)
        })
        .await;
        assert_eq!(answer, None);
    }

    #[tokio::test]
    #[should_panic(expected = "did not hold within")]
    async fn a_test_that_waits_in_vain_fails() {
        eventually(Duration::from_millis(1), || async { false }).await;
    }
}
