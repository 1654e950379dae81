//! Calibrations as a store keeps them, one for each labeler, and whether one still fits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Options, Retriever};
use crate::data::ticket::text_hash;
use crate::stages::confidence::Calibration;
use crate::store::{CALIBRATION_BLOB, ExampleStore, manifest_of};
use crate::{Error, Result};

/// The version of the stored form.
const VERSION: u32 = 1;
/// When more than this share of the examples has changed, the user is told.
const STALE_SHARE: f64 = 0.1;

/// Everything that answers depend on. A calibration of another set-up is not used. The set-up is kept beside the
/// [`key`](Setup::key), so that a note can say what differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The model; `None` for a labeler without one.
    pub model: Option<String>,
    /// Fingerprint of the prompts and the intents in them.
    pub prompt: Option<String>,
    /// How many examples are shown, and how they are chosen.
    pub examples: Option<String>,
    /// The embedding model.
    pub embedder: String,
    /// `flat` or `hierarchical`.
    pub strategy: String,
    /// Whether the store's probe is used.
    pub probe: bool,
    /// The filter.
    pub filter: String,
    /// Whether novel tickets go to review.
    pub unknown: bool,
    /// For a cascade: the confidence from which on the vote's answer is taken.
    #[serde(default)]
    pub cascade_threshold: Option<String>,
}

impl Setup {
    /// The calibration key, in sixteen letters: the hash of the set-up. It is made of names and values that are chosen
    /// here and in [`Options`](super::Options), so it stays when types are renamed.
    #[must_use]
    pub fn key(&self) -> String {
        let yes = |is_so: bool| Some(if is_so { "yes" } else { "no" }.to_owned());
        let parts = [
            ("model", self.model.clone()),
            ("prompt", self.prompt.clone()),
            ("examples", self.examples.clone()),
            ("embedder", Some(self.embedder.clone())),
            ("strategy", Some(self.strategy.clone())),
            ("probe", yes(self.probe)),
            ("filter", Some(self.filter.clone())),
            ("novelty", yes(self.unknown)),
            ("cascade", self.cascade_threshold.clone()),
        ];
        let lines = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}\n", Value::from(value?))));
        let mut key = text_hash(&lines.collect::<String>());
        key.truncate(16);
        key
    }

    /// What differs between two set-ups, in words; `None` where nothing does.
    fn difference(&self, now: &Self) -> Result<Option<String>> {
        let json = |setup: &Self| serde_json::to_value(setup).map_err(|e| unwritable(&e));
        let (before, now) = (json(self)?, json(now)?);
        let changed = before.as_object().into_iter().flatten().filter(|(key, was)| now[key.as_str()] != **was);
        let words = changed.map(|(key, was)| match (was, &now[key.as_str()]) {
            // Nobody knows fingerprints by heart.
            (Value::String(_), Value::String(_)) if key == "prompt" => "the prompt or the intents in it".to_owned(),
            // Earlier versions did not keep it.
            (Value::Null, is) => format!("{key} (unknown then, {is} now)"),
            (was, is) => format!("{key} ({was} then, {is} now)"),
        });
        let words: Vec<String> = words.collect();
        Ok((!words.is_empty()).then(|| words.join(", ")))
    }
}

/// The calibration of one labeler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The calibration [`key`](Setup::key). Earlier versions had none, and their set-ups are compared name by
    /// name.
    #[serde(default)]
    pub key: Option<String>,
    /// The set-up that it holds for.
    #[serde(flatten)]
    pub setup: Setup,
    /// The curve and the dial.
    #[serde(flatten)]
    pub calibration: Calibration,
    /// How sure it is that the dial holds, 0 to 1.
    pub confidence: f64,
    /// Share of the calibration tickets that it routes.
    pub coverage: f64,
    /// How many tickets it was made with.
    pub n: usize,
    /// When it was made (RFC 3339); earlier versions did not say.
    #[serde(default)]
    pub made_at: Option<String>,
    /// Examples in the store when it was made.
    pub examples_then: usize,
    /// How many examples had changed since, up to the last rebuild of the store.
    #[serde(default)]
    pub changed: usize,
    /// How many changes in place the manifest counted when it was made, or when the store was rebuilt since.
    pub changed_in_place: usize,
}

/// The threshold of a cascade: the score from which on the vote's answer is taken and Claude is not asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CascadeEntry {
    /// The least [`score`](crate::stages::confidence::score) of the vote's first intent; `None` where no
    /// score gives the target.
    pub threshold: Option<f32>,
    /// Share of the vote's answers that must be right.
    pub target: f64,
    /// How sure it is that the target holds, 0 to 1.
    pub confidence: f64,
    /// Whether the store's probe was used.
    pub probe: bool,
    /// The filter.
    #[serde(default)]
    pub filter: String,
    /// When it was made (RFC 3339); earlier versions did not say.
    #[serde(default)]
    pub made_at: Option<String>,
}

/// All calibrations of a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    version: u32,
    /// By labeler.
    #[serde(default)]
    pub labelers: BTreeMap<String, Entry>,
    /// The cascade's own threshold.
    #[serde(default)]
    pub cascade: Option<CascadeEntry>,
}

impl Default for Stored {
    fn default() -> Self {
        Self { version: VERSION, labelers: BTreeMap::new(), cascade: None }
    }
}

impl Stored {
    /// Reads the calibrations of a store. There are none where it was never calibrated. Fails when they cannot be
    /// read.
    pub async fn read(store: &dyn ExampleStore) -> Result<Self> {
        store.blob(CALIBRATION_BLOB).await?.map_or_else(|| Ok(Self::default()), |bytes| Self::from_json(&bytes))
    }

    fn from_json(bytes: &[u8]) -> Result<Self> {
        let damaged = |why: String| {
            Error::store(format!(
                "the store's calibration cannot be read: {why}; make it again with: ticket-router calibrate FILE"
            ))
        };
        let stored: Self = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if stored.version != VERSION {
            return Err(damaged(format!("it has version {}, this program writes {VERSION}", stored.version)));
        }
        Ok(stored)
    }

    fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|e| unwritable(&e))
    }

    /// Adds the calibration of a labeler, and of the cascade's own threshold where there is one; those of others
    /// stay. Fails, and writes nothing, when the store cannot say which there are. What cannot be understood is
    /// replaced: it can only be made again.
    pub async fn add(
        store: &dyn ExampleStore,
        labeler: &str,
        entry: Entry,
        cascade: Option<CascadeEntry>,
    ) -> Result<()> {
        let before = store.blob(CALIBRATION_BLOB).await?;
        let mut stored = before.and_then(|bytes| Self::from_json(&bytes).ok()).unwrap_or_default();
        stored.cascade = cascade.or(stored.cascade);
        stored.labelers.insert(labeler.to_owned(), entry);
        store.put_blob(CALIBRATION_BLOB, stored.to_json()?).await
    }

    /// The calibration of a labeler if it fits the set-up. The note says that it does not fit, or that many examples
    /// have changed since it was made.
    pub async fn fitting(
        store: &dyn ExampleStore,
        labeler: &str,
        setup: &Setup,
    ) -> Result<(Option<Calibration>, Option<String>)> {
        let stored = Self::read(store).await?;
        let Some(entry) = stored.labelers.get(labeler) else { return Ok((None, None)) };
        let again = format!("run again: ticket-router calibrate FILE --labeler {labeler}");
        if let Some(difference) = entry.difference(setup)? {
            let note = format!(
                "the calibration of {labeler}{} is not used, since it was made under another set-up: {difference}; {again}",
                of(entry.made_at.as_ref())
            );
            return Ok((None, Some(note)));
        }
        let manifest = manifest_of(store).await?;
        let changed = entry.changed_by(manifest.map_or(0, |manifest| manifest.changed_in_place));
        let is_stale = entry.share_of_examples(changed) > STALE_SHARE;
        let note = is_stale.then(|| {
            format!(
                "{changed} examples have changed since {labeler} was calibrated on {}{}; {again}",
                entry.examples_then,
                of(entry.made_at.as_ref())
            )
        });
        Ok((Some(entry.calibration), note))
    }

    /// The stored form after a rebuild with so many changes: from then on the manifest counts from 0 again. A form
    /// that cannot be read is dropped.
    #[must_use]
    pub fn carried(bytes: &[u8], changed_in_place: usize, changes: usize) -> Option<Vec<u8>> {
        let mut stored = Self::from_json(bytes).ok()?;
        for entry in stored.labelers.values_mut() {
            (entry.changed, entry.changed_in_place) = (entry.changed_by(changed_in_place) + changes, 0);
        }
        stored.to_json().ok()
    }
}

impl Entry {
    /// Why it does not hold for a set-up, in words; `None` where it does.
    fn difference(&self, now: &Setup) -> Result<Option<String>> {
        match &self.key {
            Some(key) if *key == now.key() => Ok(None),
            Some(_) => Ok(self.setup.difference(now)?.or_else(|| Some("what it depends on".to_owned()))),
            None => self.setup.difference(now),
        }
    }

    fn changed_by(&self, changed_in_place: usize) -> usize {
        self.changed + changed_in_place.saturating_sub(self.changed_in_place)
    }

    fn share_of_examples(&self, changed: usize) -> f64 {
        use crate::statistics::real;

        real(changed) / real(self.examples_then.max(1))
    }
}

/// The score from which on a cascade takes the vote's answer, if the store was calibrated for it and that fits. The
/// words say where it is from, or why there is none.
pub async fn cascade_threshold(retriever: &Retriever, options: &Options) -> Result<(Option<f32>, String)> {
    let stored = Stored::read(retriever.store()).await?;
    stored.cascade.map_or_else(
        || Ok((None, "the store is not calibrated; ticket-router calibrate FILE finds a threshold".to_owned())),
        |entry| entry.fitting(&retriever.setup(options)),
    )
}

impl CascadeEntry {
    fn fitting(&self, now: &Setup) -> Result<(Option<f32>, String)> {
        // This is all that the vote depends on. It was calibrated as one choice among all intents.
        let then = Setup { probe: self.probe, filter: self.filter.clone(), strategy: "flat".to_owned(), ..now.clone() };
        let of = of(self.made_at.as_ref());
        Ok(match (then.difference(now)?, self.threshold) {
            (Some(difference), _) => {
                let why = format!(
                    "its calibration{of} is not used, since it was made under another set-up: {difference}; run again: \
                     ticket-router calibrate FILE"
                );
                (None, why)
            }
            (None, None) => (None, format!("by its calibration{of} no threshold gives {:.1} %", self.target * 100.0)),
            (None, found) => {
                let (target, sure) = (self.target * 100.0, self.confidence * 100.0);
                (found, format!("by the store's calibration{of}, for {target:.1} % with {sure:.0} % confidence"))
            }
        })
    }
}

/// When a calibration was made, as an addition to its name.
fn of(made_at: Option<&String>) -> String {
    made_at.map(|when| format!(" (of {when})")).unwrap_or_default()
}

fn unwritable(e: &serde_json::Error) -> Error {
    Error::internal(format!("the calibration cannot be written: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        let text = |text: &str| Some(text.to_owned());
        Setup {
            model: text("haiku"),
            prompt: text("abc"),
            examples: text("5 contrastive"),
            embedder: "MiniLM".into(),
            strategy: "flat".into(),
            probe: true,
            filter: String::new(),
            unknown: true,
            cascade_threshold: None,
        }
    }

    fn stored() -> Stored {
        let calibration = Calibration { slope: 1.25, intercept: -0.1, threshold: Some(0.8751), target: 0.97 };
        let entry = Entry {
            key: Some(setup().key()),
            setup: setup(),
            calibration,
            confidence: 0.9,
            coverage: 0.87,
            n: 1540,
            made_at: Some("2026-03-01T08:00:00Z".into()),
            examples_then: 1_000,
            changed: 0,
            changed_in_place: 40,
        };
        Stored { labelers: [("claude".to_owned(), entry)].into(), ..Stored::default() }
    }

    #[test]
    fn the_stored_form_comes_back_as_it_was_and_a_newer_one_is_refused() {
        let json = stored().to_json().unwrap();
        assert_eq!(Stored::from_json(&json).unwrap(), stored());
        let newer = String::from_utf8(json).unwrap().replace("\"version\": 1", "\"version\": 2");
        let error = Stored::from_json(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("version 2") && error.contains("ticket-router calibrate"), "{error}");
        assert!(Stored::from_json(b"{").is_err());
    }

    #[test]
    fn the_key_stays_and_differs_with_every_part() {
        assert_eq!(setup().key(), "d110e8dba69f0937");
        let entry = stored().labelers.remove("claude").unwrap();
        assert_eq!(entry.difference(&setup()).unwrap(), None);
        let other = Entry { key: Some("another".into()), ..entry };
        assert_eq!(other.difference(&setup()).unwrap().unwrap(), "what it depends on");
    }

    #[test]
    fn a_difference_names_what_changed_and_both_values() {
        let said = |change: fn(&mut Setup)| {
            let mut now = setup();
            change(&mut now);
            setup().difference(&now).unwrap()
        };
        assert_eq!(said(|_| {}), None);
        assert_eq!(said(|now| now.model = Some("opus".into())).unwrap(), "model (\"haiku\" then, \"opus\" now)");
        assert_eq!(said(|now| now.prompt = Some("abd".into())).unwrap(), "the prompt or the intents in it");
        for change in [
            |now: &mut Setup| now.embedder = "other".into(),
            |now: &mut Setup| now.strategy = "hierarchical".into(),
            |now: &mut Setup| now.probe = false,
            |now: &mut Setup| now.examples = Some("9 nearest".into()),
            |now: &mut Setup| now.filter = "language".into(),
            |now: &mut Setup| now.unknown = false,
            |now: &mut Setup| now.cascade_threshold = Some("0.7".into()),
        ] {
            assert!(said(change).is_some());
            let mut now = setup();
            change(&mut now);
            assert_ne!(now.key(), setup().key());
        }
    }

    #[test]
    fn what_earlier_versions_stored_can_still_be_read() {
        let mut json: Value = serde_json::from_slice(&stored().to_json().unwrap()).unwrap();
        for key in ["made_at", "key"] {
            json["labelers"]["claude"].as_object_mut().unwrap().remove(key).unwrap();
        }
        // What an earlier version learned of a cascade does not say with which threshold.
        let mut cascade = json["labelers"]["claude"].clone();
        cascade.as_object_mut().unwrap().remove("cascade_threshold").unwrap();
        json["labelers"]["cascade"] = cascade;
        json["cascade"] = serde_json::json!({"threshold": 0.8, "target": 0.97, "confidence": 0.9, "probe": true});
        let read = Stored::from_json(json.to_string().as_bytes()).unwrap();
        assert_eq!((read.labelers["claude"].made_at.as_ref(), read.labelers["claude"].n), (None, 1540));
        assert_eq!(read.labelers["claude"].difference(&setup()).unwrap(), None);
        let now = Setup { cascade_threshold: Some("0.7".into()), ..setup() };
        let difference = read.labelers["cascade"].difference(&now).unwrap();
        assert_eq!(difference.unwrap(), "cascade_threshold (unknown then, \"0.7\" now)");
        assert_eq!(read.cascade.unwrap().fitting(&setup()).unwrap().0, Some(0.8));
    }

    #[test]
    fn a_cascade_takes_its_threshold_only_where_the_vote_is_as_it_was() {
        let entry = CascadeEntry {
            threshold: Some(0.8),
            target: 0.97,
            confidence: 0.9,
            probe: true,
            filter: String::new(),
            made_at: Some("2026-03-01T08:00:00Z".into()),
        };
        let fitting = |change: fn(&mut Setup)| {
            let mut now = setup();
            change(&mut now);
            entry.fitting(&now).unwrap()
        };
        // What the model sees is nothing to the vote.
        let (found, why) = fitting(|now| (now.model, now.examples) = (None, None));
        assert_eq!(found, Some(0.8));
        assert!(why.contains("(of 2026-03-01T08:00:00Z), for 97.0 % with 90 % confidence"), "{why}");
        for (change, what) in [
            ((|now| now.probe = false) as fn(&mut Setup), "probe (true then, false now)"),
            (|now| now.filter = "language".into(), "filter (\"\" then, \"language\" now)"),
            (|now| now.strategy = "hierarchical".into(), "strategy (\"flat\" then, \"hierarchical\" now)"),
        ] {
            let (found, why) = fitting(change);
            assert_eq!(found, None);
            assert!(why.contains(what) && why.contains("ticket-router calibrate FILE"), "{why}");
        }
        let hopeless = CascadeEntry { threshold: None, ..entry }.fitting(&setup()).unwrap();
        assert!(hopeless.0.is_none() && hopeless.1.contains("no threshold gives 97.0 %"), "{hopeless:?}");
    }

    #[test]
    fn changes_of_examples_are_counted_over_rebuilds() {
        let entry = |bytes: &[u8]| Stored::from_json(bytes).unwrap().labelers["claude"].clone();
        let once = Stored::carried(&stored().to_json().unwrap(), 60, 70).unwrap();
        assert_eq!(entry(&once).changed_by(0), 20 + 70);
        let twice = entry(&Stored::carried(&once, 5, 100).unwrap());
        assert_eq!(twice.changed_by(8), 90 + 5 + 100 + 8);
        assert!(twice.share_of_examples(twice.changed_by(0)) > STALE_SHARE);
        assert_eq!(Stored::carried(b"rubbish", 0, 0), None);
    }
}
