//! Locks on files: one for the process that has the store open, one for the rebuild that is under way.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long a lock is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The file of the process that has the store open.
pub(super) const OPEN: &str = "LOCK";
/// The file of the rebuild that is under way.
pub(super) const BULK: &str = "BULK";

/// Takes the lock on the whole store.
pub(super) async fn open(root: &Path) -> Result<File> {
    let busy = |_: &str| {
        Error::store(format!(
            "the store {} is in use by another process (waited {} s); try again when it is done, \
             or give each process a store of its own",
            root.display(),
            PATIENCE.as_secs()
        ))
    };
    take(root, OPEN, busy).await
}

/// Takes the lock of a rebuild, and writes down who has it.
pub(super) async fn bulk(root: &Path) -> Result<File> {
    let busy = |holder: &str| {
        Error::store(format!(
            "the store {} is being rebuilt by {holder} (waited {} s); try again when it is done",
            root.display(),
            PATIENCE.as_secs()
        ))
    };
    let mut file = take(root, BULK, busy).await?;
    let holder = super::super::holder();
    let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
    noted.map_err(|e| failed(root, &e))?;
    Ok(file)
}

async fn take(root: &Path, name: &str, busy: impl Fn(&str) -> Error) -> Result<File> {
    let options = File::options().create(true).truncate(false).read(true).write(true).open(root.join(name));
    let mut file = options.map_err(|e| failed(root, &e))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
                return Err(busy(if read.is_ok() && !holder.is_empty() { &holder } else { "another run" }));
            }
            Err(TryLockError::Error(e)) => return Err(failed(root, &e)),
        }
    }
}

fn failed(root: &Path, e: &std::io::Error) -> Error {
    Error::store(format!("cannot lock the store {}: {e}; check the folder's permissions", root.display()))
}
