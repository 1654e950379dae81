//! The journal of a run: every answer, under the hash of the exact request that it answers.
//!
//! One JSON object a line, written as each answer arrives, so a run that is killed goes on
//! where it was. Equal requests of one run are told apart by a repeat number. A last line
//! that was cut off by a kill is dropped. Keys never get in here; ticket texts do not either,
//! but answers may quote them, so only the owner can read the file.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Answer;
use crate::{Error, Result};

const VERSION: u32 = 1;

/// The name of a request in a journal: its hash and its repeat number. It also serves as
/// the `custom_id` of a batch, so it has at most 64 letters, digits and hyphens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestKey(String);

impl RequestKey {
    /// The key of the `repeat`th request with this body.
    #[must_use]
    pub fn new(body: &[u8], repeat: u32) -> Self {
        use std::fmt::Write as _;
        let mut name = String::with_capacity(64);
        for byte in &Sha256::digest(body)[..24] {
            let _ = write!(name, "{byte:02x}");
        }
        let _ = write!(name, "-{repeat}");
        Self(name)
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
        keys: Vec<RequestKey>,
    },
    Finished {
        finished: String,
    },
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` for a journal that is only read.
    file: Option<File>,
    answers: HashMap<RequestKey, Answer>,
    /// Batches that were sent and not yet collected.
    open_batches: HashMap<String, Vec<RequestKey>>,
    /// Answers that this process received itself.
    own: HashSet<RequestKey>,
}

impl Journal {
    /// Opens a journal to go on with, or starts one. The file belongs to one process at a time.
    pub fn open(path: &Path, fresh: bool) -> Result<Self> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed =
            |e: std::io::Error| Error::configuration(format!("cannot write the journal {}: {e}", path.display()));
        let mut file = options.open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(Error::configuration(format!(
                "the journal {} is in use by another run; wait for it, or choose another --output",
                path.display()
            )));
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
            .map_err(|e| Error::bad_input(format!("cannot read the journal {}: {e}", path.display())))?;
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

    /// Keeps an answer; it is in the file when this returns.
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

    /// Remembers that these requests are under way in a batch.
    pub(super) fn submitted(&self, batch: &str, keys: Vec<RequestKey>) -> Result<()> {
        let mut state = self.lock();
        self.append(&mut state, &Line::Submitted { submitted: batch.to_owned(), keys: keys.clone() })?;
        state.open_batches.insert(batch.to_owned(), keys);
        Ok(())
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
        let failed = |e: String| Error::configuration(format!("cannot write the journal {}: {e}", self.path.display()));
        let mut text = serde_json::to_vec(line).map_err(|e| failed(e.to_string()))?;
        text.push(b'\n');
        // One call a line: what was written is the system's, whatever happens to this process.
        file.write_all(&text).map_err(|e| failed(e.to_string()))
    }
}

/// Reads the lines; also returns how many bytes of whole lines there are.
fn parse(text: &[u8], path: &Path) -> Result<(State, usize)> {
    let mut state = State { file: None, answers: HashMap::new(), open_batches: HashMap::new(), own: HashSet::new() };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |position| position + 1);
    for (number, line) in text[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let bad = |why: String| {
            Error::bad_input(format!(
                "the journal {}, line {}: {why}; start over with --fresh",
                path.display(),
                number + 1
            ))
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
            Line::Submitted { submitted, keys } => {
                state.open_batches.insert(submitted, keys);
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
            assert!(Journal::open(&path, false).is_err(), "one run at a time");
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
        journal.submitted("b1", vec![RequestKey::new(b"x", 0)]).unwrap();
        journal.submitted("b2", vec![RequestKey::new(b"y", 0)]).unwrap();
        journal.finished("b1").unwrap();
        drop(journal);
        let open = Journal::open(&path, false).unwrap().open_batches();
        assert_eq!(open, [("b2".to_owned(), vec![RequestKey::new(b"y", 0)])]);
    }
}
