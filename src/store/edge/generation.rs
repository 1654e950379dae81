//! Generations as folders: each holds one complete content of the store, and a pointer file names the one that is
//! served.
//!
//! A bulk change fills a new folder and then replaces the pointer by a rename, which the file system does in one step.
//! After a kill at any moment the pointer names a complete folder. The next bulk change removes the other folders.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::lock;
use crate::{Error, Result};

const POINTER: &str = "CURRENT";
const PREFIX: &str = "generation-";
const BLOBS: &str = "blobs";
/// The file of small changes, see `journal`.
pub(super) const JOURNAL: &str = "changes.jsonl";
/// Where the engine keeps its segments.
const SEGMENTS: &str = "segments";
/// The file that names the rebuild which fills an unfinished generation.
const NAME: &str = "REBUILD";

/// A folder with one content of the store.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    path: PathBuf,
}

impl Generation {
    /// Whether a store was ever published in `root`.
    pub(super) fn exists(root: &Path) -> bool {
        root.join(POINTER).is_file()
    }

    /// The generation that the pointer names.
    pub(super) fn current(root: &Path) -> Result<Option<Self>> {
        let name = match fs::read_to_string(root.join(POINTER)) {
            Ok(name) => name,
            Err(e) if e.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", &root.join(POINTER), &e)),
        };
        let path = root.join(name.trim());
        if !name.starts_with(PREFIX) || !path.is_dir() {
            return Err(Error::store(format!(
                "the store {} is damaged: its pointer names {:?}, which is not there; index again into a new --store",
                root.display(),
                name.trim()
            )));
        }
        Ok(Some(Self { path }))
    }

    /// A new, empty folder, numbered after all others.
    pub(super) fn create(root: &Path) -> Result<Self> {
        let last = numbered(root)?.into_iter().map(|(number, _)| number).max().unwrap_or(0);
        let path = root.join(format!("{PREFIX}{:06}", last + 1));
        make_private_dir(&path.join(BLOBS))?;
        Ok(Self { path })
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the engine's files.
    pub(super) fn shard_path(&self) -> Result<PathBuf> {
        let path = self.path.join("shard");
        make_private_dir(&path)?;
        Ok(path)
    }

    /// Adds an empty segment to the engine's folder, which must be closed. `make` makes a new shard in the folder
    /// that it is given, and the segment is taken from there.
    pub(super) fn add_segment(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let spare = self.path.join("spare");
        make_private_dir(&spare)?;
        make(&spare)?;
        let segments = self.shard_path()?.join(SEGMENTS);
        for entry in fs::read_dir(spare.join(SEGMENTS)).map_err(|e| failed("read", &spare, &e))?.flatten() {
            fs::rename(entry.path(), segments.join(entry.file_name()))
                .map_err(|e| failed("move", &entry.path(), &e))?;
        }
        sync_dir(&segments)?;
        fs::remove_dir_all(&spare).map_err(|e| failed("remove", &spare, &e))
    }

    /// Makes this the served generation, durably and in one step.
    pub(super) fn publish(&self, root: &Path) -> Result<()> {
        write_in_one_step(root, POINTER, self.name().as_bytes())
    }

    /// The name of the folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Notes which rebuild fills this generation, so that the rebuild can go on after a kill.
    pub(super) fn put_name(&self, rebuild: &str) -> Result<()> {
        write_in_one_step(&self.path, NAME, rebuild.as_bytes())
    }

    /// The generation that an unfinished rebuild of this name has begun to fill.
    pub(super) fn unfinished(&self, root: &Path, rebuild: &str) -> Result<Option<Self>> {
        let others = numbered(root)?.into_iter().map(|(_, path)| path).filter(|path| *path != self.path);
        let mut named = others.filter(|path| fs::read(path.join(NAME)).is_ok_and(|name| name == rebuild.as_bytes()));
        Ok(named.next().map(|path| Self { path }))
    }

    /// Bytes on disk. Of sparse files only the written parts count, where the system tells.
    pub(super) fn bytes(&self) -> Result<u64> {
        bytes_below(&self.path)
    }

    /// Removes the store from `root`. The pointer goes first: without it there is no store.
    pub(super) fn retire(self, root: &Path) -> Result<()> {
        let pointer = root.join(POINTER);
        fs::remove_file(&pointer).map_err(|e| failed("remove", &pointer, &e))?;
        self.remove()?;
        for lock in [lock::BULK, lock::OPEN].map(|name| root.join(name)) {
            match fs::remove_file(&lock) {
                Err(e) if e.kind() != IoErrorKind::NotFound => return Err(failed("remove", &lock, &e)),
                _ => {}
            }
        }
        // Other files in the folder are not ours.
        let _ = fs::remove_dir(root);
        Ok(())
    }

    /// Writes the folder's own entries to disk.
    pub(super) fn sync(&self) -> Result<()> {
        sync_dir(&self.path)
    }

    pub(super) fn blob(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(BLOBS).join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == IoErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path, &e)),
        }
    }

    pub(super) fn put_blob(&self, name: &str, content: &[u8]) -> Result<()> {
        write_in_one_step(&self.path.join(BLOBS), name, content)
    }

    /// Removes the folders that killed or replaced runs left, except those that are still held here. The last reader
    /// of a replaced one may be removing it at the same moment.
    pub(super) fn remove_others(&self, root: &Path, held: &[Self]) -> Result<()> {
        for (_, path) in numbered(root)? {
            if path != self.path && held.iter().all(|held| held.path != path) {
                Self { path }.remove_or_leave();
            }
        }
        Ok(())
    }

    /// Removes the folders that were replaced by this one and that a killed run left. Later folders may be unfinished
    /// rebuilds that go on. What cannot be removed now goes with the next rebuild.
    pub(super) fn remove_replaced(&self, root: &Path) {
        let own = self.path.file_name().and_then(|name| number_of(name.to_str()?));
        for (number, path) in numbered(root).unwrap_or_default() {
            if own.is_some_and(|own| number < own) {
                Self { path }.remove_or_leave();
            }
        }
    }

    fn remove_or_leave(&self) {
        if let Err(e) = self.remove()
            && self.path.exists()
        {
            tracing::warn!("a folder that is not used any more stays until the next rebuild: {e}");
        }
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.path).map_err(|e| failed("remove", &self.path, &e))
    }
}

/// Makes a folder, and those above it, that only its owner can read: it will hold tickets.
pub(super) fn make_private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| failed("make", path, &e))
}

/// Refuses a folder that holds other files: a store removes what it does not know in its folder.
pub(super) fn check_own(root: &Path) -> Result<()> {
    if Generation::exists(root) {
        return Ok(());
    }
    let entries = fs::read_dir(root).map_err(|e| failed("read", root, &e))?;
    let foreign = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).find(|name| {
        ![lock::OPEN, lock::BULK].contains(&name.as_str()) && !name.starts_with(POINTER) && number_of(name).is_none()
    });
    match foreign {
        None => Ok(()),
        Some(name) => Err(Error::store(format!(
            "{} is no store and not empty (it holds {name:?}); name a new or empty folder with --store",
            root.display()
        ))),
    }
}

/// The number of a generation's folder. It has six digits, so that no other folder is taken for one.
fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX).filter(|digits| digits.len() == 6)?.parse().ok()
}

fn numbered(root: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = fs::read_dir(root).map_err(|e| failed("read", root, &e))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            Some((number_of(name.to_str()?)?, entry.path()))
        })
        .collect())
}

fn bytes_below(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(|e| failed("read", path, &e))?.flatten() {
        let meta = entry.metadata().map_err(|e| failed("read", &entry.path(), &e))?;
        bytes += if meta.is_dir() { bytes_below(&entry.path())? } else { occupied(&meta) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn occupied(meta: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(meta) * 512
}

#[cfg(not(unix))]
fn occupied(meta: &fs::Metadata) -> u64 {
    meta.len()
}

pub(super) fn write_in_one_step(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let (target, draft) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, &target)
    };
    write().map_err(|e| failed("write", &target, &e))?;
    sync_dir(dir)
}

/// A rename is durable once its folder is.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| failed("sync", path, &e))
}

pub(super) fn failed(verb: &str, path: &Path, e: &std::io::Error) -> Error {
    Error::store(format!(
        "cannot {verb} {}: {e}; check the folder's permissions and the free disk space",
        path.display()
    ))
}
