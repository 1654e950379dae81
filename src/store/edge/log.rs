//! The engine's log of operations, which the engine itself never cuts.
//!
//! The engine does not replay the log either: acknowledged operations are in the segments. Only the number of the next
//! operation is needed, and the last two files tell it.

use std::path::{Path, PathBuf};

use super::generation::sync_dir;
use crate::Result;

const FOLDER: &str = "wal";
/// The name of a full file of the log begins like this; the number of its first operation follows.
const FULL: &str = "closed-";

/// Removes the full files of a shard's log except the last. The oldest goes first, so that no gap is ever left. A
/// file that cannot be removed now is removed at the next opening.
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
