//! The engine's log of operations, which the engine itself never cuts.
//!
//! It is not replayed either: what was acknowledged is in the segments. All that is needed of it is
//! the number at which the next operation goes on, and that is told by its last two files.

use std::path::{Path, PathBuf};

use super::generation::sync_dir;
use crate::Result;

const FOLDER: &str = "wal";
/// Before the number of the first operation in a full file of the log.
const FULL: &str = "closed-";

/// Removes the full files of a shard's log but the last, oldest first, so that what stays is always
/// without a gap. What cannot be removed now is removed at the next opening.
pub(super) fn cut(shard: &Path) -> Result<()> {
    let log = shard.join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&log) else { return Ok(()) };
    let mut full: Vec<(u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix(FULL)?.parse().ok()?, entry.path())))
        .collect();
    full.sort_unstable();
    full.pop();
    if !full.is_empty() {
        // The last one must be there under its new name before an older one goes.
        sync_dir(&log)?;
    }
    for (_, path) in full {
        if std::fs::remove_file(path).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_full_file_and_all_else_stay() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join(FOLDER);
        std::fs::create_dir(&log).unwrap();
        let names = ["closed-0", "closed-7", "closed-12", "open-2", "open-3", "closed-x", "first-index"];
        for name in names {
            std::fs::write(log.join(name), "").unwrap();
        }
        cut(folder.path()).unwrap();
        let mut left: Vec<String> =
            std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["closed-12", "closed-x", "first-index", "open-2", "open-3"]);
    }
}
