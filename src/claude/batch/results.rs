//! Brings the results of a batch into the journal.

use std::collections::HashMap;

use reqwest::Url;

use super::Batches;
use super::object::{BatchObject, Outcome, ResultLine, error_of};
use crate::claude::{Answer, RequestKey};
use crate::{Error, Result};

/// Types of errors that the same request would meet again.
const LASTING: [&str; 6] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
];

/// Requests that batches did not answer, with the reason.
#[derive(Default)]
pub(super) struct Unanswered {
    /// Requests that failed for good: sending them again would change nothing.
    pub(super) failed: HashMap<RequestKey, String>,
    /// Requests that may be answered the next time.
    pub(super) again: HashMap<RequestKey, String>,
}

impl Batches {
    pub(super) async fn take_results(
        &self,
        batch: &BatchObject,
        keys: &[RequestKey],
        unanswered: &mut Unanswered,
    ) -> Result<()> {
        let by_name: HashMap<&str, &RequestKey> = keys.iter().map(|key| (key.as_str(), key)).collect();
        let url = self.results_url(batch)?;
        self.client
            .lines(&url, &mut |line| {
                let Ok(line) = serde_json::from_slice::<ResultLine>(line) else { return Ok(()) };
                // A broken download begins again, so lines may come twice.
                match by_name.get(line.custom_id.as_str()) {
                    Some(&key) if !self.journal.holds(key) => self.take(key, line.result, unanswered),
                    _ => Ok(()),
                }
            })
            .await
    }

    fn take(&self, key: &RequestKey, outcome: Outcome, unanswered: &mut Unanswered) -> Result<()> {
        let (list, why) = match outcome {
            Outcome::Succeeded { message } => match Answer::from_raw(message) {
                Ok(answer) => {
                    let answer = Answer { batch: true, ..answer };
                    self.journal.keep(key.clone(), &answer)?;
                    self.ledger.enter(&answer, false);
                    return Ok(());
                }
                Err(e) => (&mut unanswered.again, format!("its answer is not the API's JSON ({e})")),
            },
            Outcome::Errored { error } => {
                let (kind, message) = error_of(&error);
                let is_lasting = LASTING.contains(&kind.as_str());
                let list = if is_lasting { &mut unanswered.failed } else { &mut unanswered.again };
                (list, format!("the API answered in a batch ({kind}: {message})"))
            }
            Outcome::Expired => (&mut unanswered.again, "it expired".into()),
            Outcome::Canceled | Outcome::Unknown => (&mut unanswered.again, "it was cancelled".into()),
        };
        list.insert(key.clone(), why);
        Ok(())
    }

    /// The `custom_id`s of a batch's results, however they ended.
    pub(super) async fn names(&self, batch: &BatchObject) -> Result<Vec<String>> {
        let (url, mut names) = (self.results_url(batch)?, Vec::new());
        self.client
            .lines(&url, &mut |line| {
                names.extend(serde_json::from_slice::<ResultLine>(line).ok().map(|line| line.custom_id));
                Ok(())
            })
            .await?;
        Ok(names)
    }

    fn results_url(&self, batch: &BatchObject) -> Result<Url, Error> {
        let named = batch.results_url.as_deref().and_then(|url| Url::parse(url).ok());
        // The key is sent to its own host alone. A gateway may name the host behind it here.
        match named.filter(|url| self.client.http.is_own(url)) {
            Some(url) => Ok(url),
            None => self.client.http.url(&format!("/v1/messages/batches/{}/results", batch.id)),
        }
    }
}
