//! Where results go: stdout, or a file that appears whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::print;

/// Stdout, or a file. A file is written beside its place under another name, readable by
/// its owner only, and takes its place when it is complete: a run that fails leaves an
/// earlier result as it was.
pub(super) enum Output {
    Stdout,
    File { writer: BufWriter<File>, draft: PathBuf, place: PathBuf },
}

impl Output {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(place) = path else { return Ok(Self::Stdout) };
        let mut draft = place.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&draft)
            .with_context(|| format!("cannot write {}; check the folder and its permissions", place.display()))?;
        Ok(Self::File { writer: BufWriter::new(file), draft, place: place.to_owned() })
    }

    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => print(&format!("{text}\n")),
            Self::File { writer, place, .. } => {
                writeln!(writer, "{text}").with_context(|| format!("cannot write {}", place.display()))
            }
        }
    }

    /// Puts a file in its place.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Self::File { mut writer, draft, place } = self else { return Ok(()) };
        writer
            .flush()
            .and_then(|()| writer.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&draft, &place))
            .with_context(|| format!("cannot write {}", place.display()))
    }
}
