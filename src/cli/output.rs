//! Where results go: stdout, or a file that appears when it is complete.

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
        let file = start(&draft)
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

/// A new file that nobody else can read. A file that a killed run left is removed first: an old file would keep
/// its mode, and its readers.
fn start(draft: &Path) -> std::io::Result<File> {
    match std::fs::remove_file(draft) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(draft)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_result_is_for_its_owner_only_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let [place, draft] = ["out.jsonl", "out.jsonl.part"].map(|name| dir.path().join(name));
        for old in [&place, &draft] {
            fs::write(old, "old").unwrap();
            fs::set_permissions(old, Permissions::from_mode(0o644)).unwrap();
        }
        let mut reader = File::open(&draft).unwrap();
        let mut output = Output::open(Some(&place)).unwrap();
        output.line("a ticket").unwrap();
        assert_eq!(fs::metadata(&draft).unwrap().permissions().mode() & 0o777, 0o600);
        output.finish().unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&place).unwrap(), "a ticket\n");
        let mut seen = String::new();
        std::io::Read::read_to_string(&mut reader, &mut seen).unwrap();
        assert_eq!(seen, "old", "who has the old draft open sees nothing of the new one");
    }
}
