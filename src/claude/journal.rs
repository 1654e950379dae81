//! The journal of a run: every answer, under the hash of the exact request that it answers.
//!
//! Each line is a JSON object, written as an answer arrives, so a run that was killed goes on where it
//! was. Equal requests of one run are told apart by a repeat number. A last line that a kill cut off is
//! dropped. Neither keys nor ticket texts are written here. Answers may quote a ticket, so only the
//! owner can read the file.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Answer;
use crate::text::hex;
use crate::{Error, Remedy, Result};

/// 2 records what batches were about to be made.
const VERSION: u32 = 2;
/// How long another process that has the journal is waited for. One that was killed may still be ending.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two looks whether the journal is free.
const LOOK: Duration = Duration::from_millis(50);

/// The name of a request in a journal: its hash and its repeat number. It also serves as
/// the `custom_id` of a batch, so it has at most 64 letters, digits and hyphens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestKey(String);

impl RequestKey {
    /// The key of the `repeat`th request with this body.
    #[must_use]
    pub fn new(body: &[u8], repeat: u32) -> Self {
        Self(format!("{}-{repeat}", hex(&Sha256::digest(body)[..24])))
    }

    /// As the batch API shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Head {
        journal: u32,
    },
    Answer {
        key: RequestKey,
        #[serde(default)]
        request_id: Option<String>,
        #[serde(default)]
        batch: bool,
        answer: Value,
    },
    Submitted {
        submitted: String,
        /// Of the intent that it fulfils.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intended: Option<u64>,
        /// Without an intent, as in version 1.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<RequestKey>,
    },
    Intended {
        intended: u64,
        at: String,
        keys: Vec<RequestKey>,
    },
    Abandoned {
        abandoned: u64,
    },
    Finished {
        finished: String,
    },
}

/// A batch that was about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) number: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) keys: Vec<RequestKey>,
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` for a journal that is only read.
    file: Option<File>,
    answers: HashMap<RequestKey, Answer>,
    /// Batches that were sent and not yet collected.
    open_batches: HashMap<String, Vec<RequestKey>>,
    /// All batches that were ever sent from here.
    batches: HashSet<String>,
    /// Batches of which is not known yet whether they were made, the oldest first.
    intents: Vec<Intent>,
    /// How many intents there ever were.
    intended: u64,
    /// Answers that this process received itself.
    own: HashSet<RequestKey>,
}

impl Journal {
    /// Opens a journal to go on with, or starts one. The file belongs to one process at a time;
    /// another one is waited for, up to ten seconds.
    pub fn open(path: &Path, fresh: bool) -> Result<Self> {
        Self::open_within(path, fresh, PATIENCE)
    }

    fn open_within(path: &Path, fresh: bool, patience: Duration) -> Result<Self> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |e: std::io::Error| cannot_write(path, e);
        let mut file = options.open(path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    let text = format!(
                        "the journal {} is in use by another run (waited {} s)",
                        path.display(),
                        patience.as_secs()
                    );
                    return Err(Error::configuration(text).with_remedy(Remedy::OtherJournal));
                }
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
        if fresh {
            file.set_len(0).map_err(failed)?;
        }
        let text = std::fs::read(path).map_err(failed)?;
        let (mut state, whole) = parse(&text, path)?;
        if whole < text.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        state.file = Some(file);
        let journal = Self { path: path.to_owned(), state: Mutex::new(state) };
        if whole == 0 {
            journal.append(&mut journal.lock(), &Line::Head { journal: VERSION })?;
        }
        Ok(journal)
    }

    /// Reads a journal to answer from it alone.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .map_err(|e| Error::bad_input(format!("cannot read the journal {}: {e}", path.display())).with_source(e))?;
        let (state, _) = parse(&text, path)?;
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many answers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().answers.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The answer to a request, and whether an earlier run received it.
    #[must_use]
    pub fn answer(&self, key: &RequestKey) -> Option<(Answer, bool)> {
        let state = self.lock();
        state.answers.get(key).map(|answer| (answer.clone(), !state.own.contains(key)))
    }

    /// Whether it holds the answer to a request.
    pub(super) fn holds(&self, key: &RequestKey) -> bool {
        self.lock().answers.contains_key(key)
    }

    /// Keeps an answer. It is in the file when this returns.
    pub fn keep(&self, key: RequestKey, answer: &Answer) -> Result<()> {
        let mut state = self.lock();
        let line = Line::Answer {
            key: key.clone(),
            request_id: answer.request_id.clone(),
            batch: answer.batch,
            answer: answer.raw.clone(),
        };
        self.append(&mut state, &line)?;
        state.own.insert(key.clone());
        state.answers.insert(key, answer.clone());
        Ok(())
    }

    /// Remembers that a batch of these requests is about to be made; it is on the disk when this
    /// returns.
    pub(super) fn intend(&self, keys: Vec<RequestKey>) -> Result<Intent> {
        let mut state = self.lock();
        let intent = Intent { number: state.intended, at: Utc::now(), keys };
        let (at, keys) = (intent.at.to_rfc3339(), intent.keys.clone());
        self.append(&mut state, &Line::Intended { intended: intent.number, at, keys })?;
        if let Some(file) = &state.file {
            file.sync_data().map_err(|e| cannot_write(&self.path, e))?;
        }
        state.intended += 1;
        state.intents.push(intent.clone());
        Ok(intent)
    }

    /// Batches of which is not known whether they were made.
    pub(super) fn intents(&self) -> Vec<Intent> {
        self.lock().intents.clone()
    }

    /// Remembers that the batch of an intent was not made.
    pub(super) fn abandoned(&self, intent: &Intent) -> Result<()> {
        let mut state = self.lock();
        self.append(&mut state, &Line::Abandoned { abandoned: intent.number })?;
        state.take_intent(intent.number);
        Ok(())
    }

    /// Remembers that the requests of an intent are under way in a batch.
    pub(super) fn submitted(&self, batch: &str, intent: &Intent) -> Result<()> {
        let mut state = self.lock();
        let line = Line::Submitted { submitted: batch.to_owned(), intended: Some(intent.number), keys: Vec::new() };
        self.append(&mut state, &line)?;
        state.submitted(batch.to_owned(), Some(intent.number), Vec::new());
        Ok(())
    }

    /// Whether a batch was sent from here.
    pub(super) fn knows_batch(&self, batch: &str) -> bool {
        self.lock().batches.contains(batch)
    }

    /// Remembers that a batch's results are all in.
    pub(super) fn finished(&self, batch: &str) -> Result<()> {
        let mut state = self.lock();
        self.append(&mut state, &Line::Finished { finished: batch.to_owned() })?;
        state.open_batches.remove(batch);
        Ok(())
    }

    /// Batches whose results are not in yet.
    pub(super) fn open_batches(&self) -> Vec<(String, Vec<RequestKey>)> {
        let mut open: Vec<_> = self.lock().open_batches.iter().map(|(id, keys)| (id.clone(), keys.clone())).collect();
        open.sort_by(|a, b| a.0.cmp(&b.0));
        open
    }

    fn append(&self, state: &mut State, line: &Line) -> Result<()> {
        let Some(file) = &mut state.file else { return Ok(()) };
        let failed = |e: std::io::Error| cannot_write(&self.path, e);
        let mut text = serde_json::to_vec(line).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        // One call for each line: once the system has it, nothing that happens to this process can lose it.
        file.write_all(&text).map_err(failed)
    }
}

impl State {
    fn take_intent(&mut self, number: u64) -> Option<Intent> {
        let position = self.intents.iter().position(|intent| intent.number == number)?;
        Some(self.intents.remove(position))
    }

    fn submitted(&mut self, batch: String, intended: Option<u64>, keys: Vec<RequestKey>) {
        let intent = intended.and_then(|number| self.take_intent(number));
        self.batches.insert(batch.clone());
        self.open_batches.insert(batch, intent.map_or(keys, |intent| intent.keys));
    }
}

fn cannot_write(path: &Path, e: std::io::Error) -> Error {
    Error::configuration(format!("cannot write the journal {}: {e}", path.display())).with_source(e)
}

/// Reads the lines; also returns how many bytes of whole lines there are.
fn parse(text: &[u8], path: &Path) -> Result<(State, usize)> {
    let mut state = State::default();
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |position| position + 1);
    for (number, line) in text[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let bad = |why: String| {
            Error::bad_input(format!("the journal {}, line {}: {why}", path.display(), number + 1))
                .with_remedy(Remedy::FreshJournal)
        };
        match serde_json::from_slice(line).map_err(|e| bad(format!("not a line of a journal ({e})")))? {
            Line::Head { journal } if journal > VERSION => {
                return Err(bad(format!("version {journal} is newer than this program")));
            }
            Line::Head { .. } => {}
            Line::Answer { key, request_id, batch, answer } => {
                let mut answer = Answer::from_raw(answer).map_err(|e| bad(format!("no answer of the API ({e})")))?;
                (answer.request_id, answer.batch) = (request_id, batch);
                state.answers.insert(key, answer);
            }
            Line::Submitted { submitted, intended, keys } => state.submitted(submitted, intended, keys),
            Line::Intended { intended, at, keys } => {
                let at = DateTime::parse_from_rfc3339(&at).map_err(|e| bad(format!("{at:?} is no moment ({e})")))?;
                state.intended = intended + 1;
                state.intents.push(Intent { number: intended, at: at.to_utc(), keys });
            }
            Line::Abandoned { abandoned } => {
                state.take_intent(abandoned);
            }
            Line::Finished { finished } => {
                state.open_batches.remove(&finished);
            }
        }
    }
    Ok((state, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        let raw =
            serde_json::json!({"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1}, "extra": 7});
        Answer { request_id: Some("req_1".into()), ..Answer::from_raw(raw).unwrap() }
    }

    #[test]
    fn answers_survive_and_a_torn_last_line_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let (a, b) = (RequestKey::new(b"body", 0), RequestKey::new(b"body", 1));
        assert_ne!(a, b);
        assert!(a.as_str().len() <= 64);
        {
            let journal = Journal::open(&path, false).unwrap();
            journal.keep(a.clone(), &answer("first")).unwrap();
            let second = Journal::open_within(&path, false, Duration::ZERO).err().unwrap();
            assert_eq!(second.remedy(), Some(Remedy::OtherJournal), "one run at a time");
        }
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"key\": \"cut o").unwrap();
        let journal = Journal::open(&path, false).unwrap();
        let (found, before) = journal.answer(&a).unwrap();
        assert_eq!((found.text().as_str(), found.request_id.as_deref(), before), ("first", Some("req_1"), true));
        journal.keep(b.clone(), &answer("second")).unwrap();
        assert!(!journal.answer(&b).unwrap().1);
        drop(journal);
        assert_eq!(Journal::read(&path).unwrap().len(), 2);
        assert_eq!(Journal::open(&path, true).unwrap().len(), 0, "--fresh");
    }

    #[test]
    fn batches_are_remembered_until_they_are_collected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let journal = Journal::open(&path, false).unwrap();
        let keys = |name: &[u8]| vec![RequestKey::new(name, 0)];
        let intents: Vec<_> = [b"x", b"y", b"z", b"w"].map(|name| journal.intend(keys(name)).unwrap()).into();
        journal.submitted("b1", &intents[0]).unwrap();
        journal.submitted("b2", &intents[1]).unwrap();
        journal.finished("b1").unwrap();
        journal.abandoned(&intents[2]).unwrap();
        drop(journal);
        let journal = Journal::open(&path, false).unwrap();
        assert_eq!(journal.open_batches(), [("b2".to_owned(), keys(b"y"))]);
        assert_eq!(journal.intents(), intents[3..]);
        assert!(journal.knows_batch("b1") && !journal.knows_batch("b3"));
        assert_eq!(journal.intend(keys(b"v")).unwrap().number, 4, "a number of its own");
    }

    #[test]
    fn a_journal_of_version_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        std::fs::write(&path, "{\"journal\":1}\n{\"submitted\":\"b1\",\"keys\":[\"k-0\"]}\n").unwrap();
        let open = Journal::open(&path, false).unwrap().open_batches();
        assert_eq!(open, [("b1".to_owned(), vec![RequestKey("k-0".into())])]);
    }

    #[test]
    fn one_that_is_held_a_moment_longer_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let held = Journal::open(&path, false).unwrap();
        let waiting = std::thread::spawn(move || Journal::open(&path, false).is_ok());
        // Long enough for the other one to find it held; were it slower, the test would still pass.
        sleep(Duration::from_millis(300));
        drop(held);
        assert!(waiting.join().unwrap());
    }
}
