//! How fast requests go out: one pace for all workers.
//!
//! Three things hold a request back. The *width*, how many may be under way at once, is halved
//! when the API says 429 or 529 and grows back by one for each round of successes (additive
//! increase, multiplicative decrease; Chiu and Jain 1989). The *windows* follow the
//! `anthropic-ratelimit-*` headers. The *spacing* follows the limits that the user set. And
//! the first request goes alone until its answer has begun: only then can the others read
//! the cache entry that it writes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::retry::header;

/// Limits that the user sets; the account's own are learned from the headers.
#[derive(Debug, Clone, Copy)]
pub struct PaceLimits {
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// Requests in a minute, if bounded.
    pub requests_per_minute: Option<u32>,
    /// Input tokens in a minute, if bounded; counted by a rough estimate.
    pub input_tokens_per_minute: Option<u32>,
}

/// The pace of all workers. One cut of the width stands for all failures of requests that started before it.
#[derive(Debug)]
pub(super) struct Pace {
    limits: PaceLimits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    width: f64,
    in_flight: usize,
    /// No request is sent before this moment.
    not_before: Instant,
    last_cut: Instant,
    /// Whether some answer has begun, so that its cache entry can be read.
    warm: bool,
    requests: Window,
    input_tokens: Window,
    output_tokens: Window,
    /// When the next request may go by the user's own limits.
    next_slot: Instant,
}

/// What is left of a limit, and until when. It is unknown until a header tells.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    left: Option<(u64, Instant)>,
}

impl Window {
    /// The moment at which `needed` may be taken.
    fn ready(&self, needed: u64, now: Instant) -> Instant {
        match self.left {
            Some((left, reset)) if left < needed && now < reset => reset,
            _ => now,
        }
    }

    fn take(&mut self, needed: u64, now: Instant) {
        match &mut self.left {
            // A new window has begun, and nothing is known of it yet.
            Some((_, reset)) if now >= *reset => self.left = None,
            Some((left, _)) => *left = left.saturating_sub(needed),
            None => {}
        }
    }

    /// Learns from the headers. `reserved` is what other requests under way need, which the headers do not know of.
    fn learn(&mut self, headers: &HeaderMap, kind: &str, reserved: u64, now: Instant) {
        let field = |name: &str| header(headers, &format!("anthropic-ratelimit-{kind}-{name}"));
        let remaining = field("remaining").and_then(|value| value.parse::<u64>().ok());
        let reset = field("reset").and_then(|value| chrono::DateTime::parse_from_rfc3339(value).ok());
        if let (Some(remaining), Some(reset)) = (remaining, reset) {
            let wait = (reset.to_utc() - chrono::Utc::now()).to_std().unwrap_or_default();
            self.left = Some((remaining.saturating_sub(reserved), now + wait.min(Duration::from_mins(2))));
        }
    }
}

/// The permission for one request to go out. It is dropped when the answer is in.
pub(super) struct Permit<'a> {
    pace: &'a Pace,
    started: Instant,
    input_tokens: u64,
    output_tokens: u64,
}

impl Pace {
    pub(super) fn new(limits: PaceLimits) -> Self {
        let now = Instant::now();
        let width = f64::from(u32::try_from(limits.concurrency.max(1)).unwrap_or(u32::MAX));
        let state = State {
            width,
            in_flight: 0,
            not_before: now,
            last_cut: now.checked_sub(Duration::from_hours(1)).unwrap_or(now),
            warm: false,
            requests: Window::default(),
            input_tokens: Window::default(),
            output_tokens: Window::default(),
            next_slot: now,
        };
        Self { limits, state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request of about this size may go.
    pub(super) async fn admit(&self, input_tokens: u64, output_tokens: u64) -> Permit<'_> {
        loop {
            let ready = {
                let mut state = self.state();
                let now = Instant::now();
                match state.ready(input_tokens, output_tokens, now) {
                    Some(ready) if ready <= now => {
                        state.take(&self.limits, input_tokens, output_tokens, now);
                        drop(state);
                        // There may be room for another request. Each wakes the next one, so that an
                        // answer does not wake all of them.
                        self.changed.notify_one();
                        return Permit { pace: self, started: now, input_tokens, output_tokens };
                    }
                    ready => ready,
                }
            };
            match ready {
                Some(ready) => tokio::select! { () = self.changed.notified() => {}, () = sleep_until(ready) => {} },
                None => self.changed.notified().await,
            }
        }
    }

    /// The next request goes alone, as the first did.
    pub(super) fn cool(&self) {
        self.state().warm = false;
    }
}

impl State {
    /// When a request may go, by what is known now; `None` while it must wait for another answer.
    fn ready(&self, input_tokens: u64, output_tokens: u64, now: Instant) -> Option<Instant> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the width is from 1 to the limit")]
        let width = if self.warm { self.width as usize } else { 1 };
        if self.in_flight >= width {
            return None;
        }
        let windows = [
            self.requests.ready(1, now),
            self.input_tokens.ready(input_tokens, now),
            self.output_tokens.ready(output_tokens, now),
        ];
        windows.into_iter().chain([self.not_before, self.next_slot]).max()
    }

    fn take(&mut self, limits: &PaceLimits, input_tokens: u64, output_tokens: u64, now: Instant) {
        self.in_flight += 1;
        self.requests.take(1, now);
        self.input_tokens.take(input_tokens, now);
        self.output_tokens.take(output_tokens, now);
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let share = |per_minute: Option<u32>, needed: u64| {
            per_minute.map_or(0.0, |limit| 60.0 * needed as f64 / f64::from(limit.max(1)))
        };
        let spacing = share(limits.requests_per_minute, 1).max(share(limits.input_tokens_per_minute, input_tokens));
        self.next_slot = self.next_slot.max(now) + Duration::from_secs_f64(spacing);
    }
}

impl Permit<'_> {
    /// The answer has begun: the headers are here.
    pub(super) fn begun(&self, headers: &HeaderMap) {
        let mut state = self.pace.state();
        let now = Instant::now();
        let others = state.in_flight.saturating_sub(1) as u64;
        state.requests.learn(headers, "requests", others, now);
        state.input_tokens.learn(headers, "input-tokens", others * self.input_tokens, now);
        state.output_tokens.learn(headers, "output-tokens", others * self.output_tokens, now);
    }

    /// The request succeeded: a little more may be under way.
    pub(super) fn succeeded(&self) {
        let mut state = self.pace.state();
        state.warm = true;
        let most = f64::from(u32::try_from(self.pace.limits.concurrency.max(1)).unwrap_or(u32::MAX));
        state.width = (state.width + 1.0 / state.width).min(most);
    }

    /// The API is overloaded or the limit is reached: fewer at once, and none before `wait`.
    pub(super) fn pushed_back(&self, wait: Duration) {
        let mut state = self.pace.state();
        let now = Instant::now();
        // Requests that were sent together are refused together. That is one cut, not many.
        if self.started >= state.last_cut {
            state.width = (state.width / 2.0).max(1.0);
            state.last_cut = now;
        }
        state.not_before = state.not_before.max(now + wait);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.pace.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(concurrency: usize, requests_per_minute: Option<u32>) -> Pace {
        Pace::new(PaceLimits { concurrency, requests_per_minute, input_tokens_per_minute: None })
    }

    async fn is_admitted(pace: &Pace) -> bool {
        tokio::time::timeout(Duration::from_millis(20), pace.admit(100, 10)).await.is_ok()
    }

    #[tokio::test]
    async fn the_first_goes_alone_until_it_succeeded_and_then_the_width_holds() {
        let pace = pace(2, None);
        let first = pace.admit(1, 1).await;
        assert!(!is_admitted(&pace).await, "nothing is cached yet");
        first.succeeded();
        let second = pace.admit(1, 1).await;
        assert!(!is_admitted(&pace).await, "two are under way");
        drop(second);
        assert!(is_admitted(&pace).await);
        drop(first);
    }

    #[tokio::test]
    async fn a_first_request_that_fails_lets_the_next_one_try() {
        let pace = pace(4, None);
        drop(pace.admit(1, 1).await);
        assert!(is_admitted(&pace).await);
    }

    #[tokio::test]
    async fn being_pushed_back_halves_the_width_once_for_all_that_were_sent_together() {
        let pace = pace(8, None);
        pace.admit(1, 1).await.succeeded();
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(pace.admit(1, 1).await);
        }
        for permit in &permits {
            permit.pushed_back(Duration::from_millis(300));
        }
        drop(permits);
        let begun = Instant::now();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.push(pace.admit(1, 1).await);
        }
        assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
        assert!(!is_admitted(&pace).await, "four are under way, half of eight");
    }

    #[tokio::test]
    async fn an_exhausted_window_holds_until_its_reset() {
        let pace = pace(8, None);
        let permit = pace.admit(1, 1).await;
        let mut headers = HeaderMap::new();
        let reset = (chrono::Utc::now() + chrono::Duration::milliseconds(400)).to_rfc3339();
        headers.insert("anthropic-ratelimit-input-tokens-remaining", "50".parse().unwrap());
        headers.insert("anthropic-ratelimit-input-tokens-reset", reset.parse().unwrap());
        permit.begun(&headers);
        permit.succeeded();
        drop(permit);
        let begun = Instant::now();
        drop(pace.admit(40, 1).await);
        assert!(begun.elapsed() < Duration::from_millis(200), "forty of fifty are left");
        drop(pace.admit(40, 1).await);
        assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn the_users_own_limit_spaces_requests_evenly() {
        let pace = pace(8, Some(600));
        let begun = Instant::now();
        for _ in 0..4 {
            pace.admit(1, 1).await.succeeded();
        }
        let taken = begun.elapsed();
        assert!(taken >= Duration::from_millis(295) && taken < Duration::from_millis(900), "{taken:?}");
    }
}
