//! When to send again, and after how long: the rules of the official SDKs. Pure.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// The longest wait that a server may ask for. A longer one is not granted.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// Whether a failed answer is worth sending again.
pub(super) fn is_retryable(status: StatusCode, headers: &HeaderMap) -> bool {
    match header(headers, "x-should-retry") {
        Some("true") => true,
        Some("false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error(),
    }
}

/// How long to wait before try number `attempt` + 2. `jitter` is a random number from 0 to 1.
pub(super) fn delay(headers: &HeaderMap, attempt: u32, jitter: f64, now: SystemTime) -> Duration {
    if let Some(asked) = asked_delay(headers, now)
        && asked <= LONGEST_ASKED
    {
        return asked;
    }
    let doubled = FIRST_DELAY.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_DELAY);
    doubled.mul_f64(1.0 - 0.25 * jitter)
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date.
fn asked_delay(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name| header(headers, name)?.parse::<f64>().ok();
    if let Some(milliseconds) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    if let Some(seconds) = number("retry-after") {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(header(headers, "retry-after")?).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_table_of_statuses() {
        let none = HeaderMap::new();
        for (status, expected) in [
            (400, false),
            (401, false),
            (402, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (413, false),
            (429, true),
            (500, true),
            (504, true),
            (529, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_retryable(status, &none), expected, "{status}");
        }
        assert!(!is_retryable(StatusCode::TOO_MANY_REQUESTS, &headers(&[("x-should-retry", "false")])));
        assert!(is_retryable(StatusCode::BAD_REQUEST, &headers(&[("x-should-retry", "true")])));
    }

    #[test]
    fn the_server_is_asked_first_and_the_delay_doubles_otherwise() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let wait = |pairs: &[(&'static str, &str)], attempt| delay(&headers(pairs), attempt, 0.0, now);
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "9")], 0), Duration::from_millis(1500));
        assert_eq!(wait(&[("retry-after", "3")], 0), Duration::from_secs(3));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(20));
        assert_eq!(wait(&[("retry-after", &date)], 0), Duration::from_secs(20));
        assert_eq!(wait(&[("retry-after", "3600")], 1), Duration::from_secs(1), "too long to wait for");
        assert_eq!(delay(&HeaderMap::new(), 0, 1.0, now), Duration::from_millis(375));
        assert_eq!(delay(&HeaderMap::new(), 30, 0.0, now), Duration::from_secs(8));
    }
}
