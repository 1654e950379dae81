//! The shapes of the batch endpoints, as far as they are read.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

#[derive(Deserialize)]
pub(super) struct BatchObject {
    pub(super) id: String,
    pub(super) processing_status: String,
    #[serde(default)]
    pub(super) request_counts: Counts,
    #[serde(default)]
    pub(super) results_url: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
}

impl BatchObject {
    pub(super) fn has_ended(&self) -> bool {
        self.processing_status == "ended"
    }

    pub(super) fn created_at(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(self.created_at.as_deref()?).ok().map(|at| at.to_utc())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) processing: usize,
    succeeded: usize,
    errored: usize,
    canceled: usize,
    expired: usize,
}

impl Counts {
    pub(super) fn done(&self) -> usize {
        self.succeeded + self.errored + self.canceled + self.expired
    }

    pub(super) fn total(&self) -> usize {
        self.processing + self.done()
    }
}

/// One page of the list of batches, the newest first.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<BatchObject>,
    #[serde(default)]
    pub(super) has_more: bool,
}

#[derive(Deserialize)]
pub(super) struct ResultLine {
    pub(super) custom_id: String,
    pub(super) result: Outcome,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Outcome {
    Succeeded {
        message: Value,
    },
    Errored {
        #[serde(default)]
        error: Value,
    },
    Canceled,
    Expired,
    #[serde(other)]
    Unknown,
}

/// The type and the message of an error: in `result.error.error`, or one level higher.
pub(super) fn error_of(error: &Value) -> (String, String) {
    let inner = error.get("error").unwrap_or(error);
    let field = |name: &str| inner.get(name).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    (field("type"), field("message"))
}

pub(super) fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| {
        let text = format!("the API's answer about a batch is not its JSON: {e}");
        Error::new(ErrorKind::ApiTransient, text).with_source(e)
    })
}
