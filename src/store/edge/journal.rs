//! The journal of small changes: an append-only file of those that the engine has not flushed yet. They are done again
//! when the store is opened.
//!
//! Flushing the engine after one example takes many syncs; appending a line here takes one. A line says what is to
//! be, so doing it twice changes nothing. The first line says how many examples were changed in place before.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::{Example, Point};
use super::generation::{self, Generation};
use crate::data::example::SparseVector;
use crate::{Error, Result};

/// After so many lines, or so many bytes, the engine is flushed and the journal begins anew, because every opening
/// reads it.
const MOST_LINES: usize = 500;
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// A write of more examples than this is flushed at once, without the journal.
pub(super) const MOST_EXAMPLES: usize = 16;

/// One small change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Entry {
    Put(Vec<Written>),
    Delete(Vec<Uuid>),
}

/// An example as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Written {
    key: Uuid,
    example: Example,
    dense: Vec<f32>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    changes: usize,
}

/// The journal of a generation.
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    /// Examples that were changed in place since the generation was built.
    pub(super) changes: usize,
    lines: usize,
    bytes: u64,
}

impl Journal {
    /// An empty journal for a generation in which so many examples were changed in place.
    pub(super) fn begin(generation: &Generation, changes: usize) -> Result<Self> {
        let folder = generation.path().to_path_buf();
        let head = line(&Head { changes })?;
        generation::write_in_one_step(&folder, generation::JOURNAL, &head)?;
        let path = folder.join(generation::JOURNAL);
        let file = File::options().append(true).open(&path).map_err(|e| generation::failed("open", &path, &e))?;
        Ok(Self { folder, file, changes, lines: 0, bytes: 0 })
    }

    /// Reads the journal of a generation: how many changes there were, and those that may have to be done again. A last
    /// line that is cut off was never acknowledged, and is dropped.
    pub(super) fn read(generation: &Generation) -> Result<(usize, Vec<Entry>)> {
        let path = generation.path().join(generation::JOURNAL);
        let file = match File::open(&path) {
            Ok(file) => file,
            // A store of an earlier version has none.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((0, Vec::new())),
            Err(e) => return Err(generation::failed("read", &path, &e)),
        };
        let mut lines = BufReader::new(file).split(b'\n');
        let mut next = || lines.next().transpose().map_err(|e| generation::failed("read", &path, &e));
        let head = next()?.unwrap_or_default();
        let head: Head = serde_json::from_slice(&head)
            .map_err(|e| Error::store(format!("the store's journal {} is damaged: {e}", path.display())))?;
        let mut entries = Vec::new();
        while let Some(line) = next()? {
            match serde_json::from_slice(&line) {
                Ok(entry) => entries.push(entry),
                Err(_) => break,
            }
        }
        Ok((head.changes, entries))
    }

    /// Makes a small change durable.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = line(entry)?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|e| generation::failed("write", &self.folder.join(generation::JOURNAL), &e))?;
        self.changes += entry.examples();
        self.lines += 1;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Whether it is time to flush the engine and begin anew.
    pub(super) fn is_long(&self) -> bool {
        self.lines >= MOST_LINES || self.bytes >= MOST_BYTES
    }

    /// Whether it holds changes that the engine has not flushed.
    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Begins anew after the engine was flushed, with so many more changes.
    pub(super) fn restart(&mut self, generation: &Generation, more: usize) -> Result<()> {
        *self = Self::begin(generation, self.changes + more)?;
        Ok(())
    }
}

impl Entry {
    pub(super) fn put(points: &[Point]) -> Self {
        let written = |point: &Point| Written {
            key: point.example.key,
            example: point.example.clone(),
            dense: point.dense.clone(),
            indices: point.sparse.indices.clone(),
            values: point.sparse.values.clone(),
        };
        Self::Put(points.iter().map(written).collect())
    }

    /// Fails for vectors of another length than those of the store, which the engine would refuse.
    pub(super) fn check(&self, dimension: usize) -> Result<()> {
        let Self::Put(points) = self else { return Ok(()) };
        match points.iter().map(|point| point.dense.len()).find(|length| *length != dimension) {
            None => Ok(()),
            Some(length) => Err(Error::store(format!(
                "the store's vectors have {dimension} numbers, and one of {length} was given; index again with --rebuild"
            ))),
        }
    }

    pub(super) fn examples(&self) -> usize {
        match self {
            Self::Put(points) => points.len(),
            Self::Delete(keys) => keys.len(),
        }
    }
}

impl From<Written> for Point {
    fn from(written: Written) -> Self {
        let Written { key, mut example, dense, indices, values } = written;
        example.key = key;
        Self { example, dense, sparse: SparseVector { indices, values } }
    }
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line =
        serde_json::to_vec(value).map_err(|e| Error::internal(format!("a change cannot be written down: {e}")))?;
    line.push(b'\n');
    Ok(line)
}
