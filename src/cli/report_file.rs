//! `eval --report FILE`: a file whose ending says its form.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

use super::output::Output;
use super::wiring::Settings;
use crate::measure::eval::EvalReport;
use crate::report::{self, Run};
use crate::text::hex;
use crate::{Error, Result};

/// A report that is to be written.
#[derive(Debug, Clone)]
pub(super) struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Html,
    Markdown,
    Json,
}

impl ReportFile {
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let form = match ending.as_deref() {
            Some("html" | "htm") => Form::Html,
            Some("md") => Form::Markdown,
            Some("json") => Form::Json,
            _ => return Err("the ending chooses the form; give it .html, .md or .json".to_owned()),
        };
        Ok(Self { path, form })
    }

    /// Fails where the folder is missing, so that this is known before anything is paid for.
    pub(super) fn check(&self) -> Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => Err(Error::configuration(format!(
                "--report {}: there is no folder {}; make it first",
                self.path.display(),
                folder.display()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, outcome: &EvalReport, run: &Run) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Html => report::html(outcome, run)?,
            Form::Markdown => report::markdown(outcome, run),
            Form::Json => serde_json::to_string_pretty(&report::json(outcome, run)?)?,
        };
        let mut output = Output::open(Some(&self.path))?;
        output.line(text.trim_end())?;
        output.finish()
    }
}

/// How much the answers rest on.
pub(super) struct LearnedFrom {
    pub(super) examples: usize,
    pub(super) intents: usize,
}

/// What was evaluated.
pub(super) struct Subject<'a> {
    pub(super) settings: &'a Settings,
    pub(super) learned_from: LearnedFrom,
    pub(super) k: usize,
    pub(super) seed: u64,
    pub(super) test_file: &'a Path,
}

impl Subject<'_> {
    /// Everything that is needed to run it again.
    pub(super) fn run(&self, outcome: &EvalReport) -> anyhow::Result<Run> {
        let test_file = self.test_file.display().to_string();
        let bytes = std::fs::read(self.test_file).with_context(|| format!("cannot read {test_file} again"))?;
        Ok(Run {
            command: command_line(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned())),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            test_file,
            test_sha256: hex(&Sha256::digest(bytes)),
            store: self.settings.store.to_string(),
            examples: self.learned_from.examples,
            intents: self.learned_from.intents,
            embedder: self.settings.embedder.clone(),
            labeler: outcome.arms[0].labeler.clone(),
            model: outcome.arms.iter().find_map(|arm| arm.model.clone()),
            k: self.k,
            seed: self.seed,
        })
    }
}

/// The words of a command line as a shell takes them. No flag holds a key, but one that was
/// given by mistake is not handed on.
fn command_line(words: impl Iterator<Item = String>) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:@%+".contains(letter);
    let quoted = |(place, word): (usize, String)| match word {
        _ if place == 0 => "ticket-router".to_owned(),
        word if word.contains("sk-") => "…".to_owned(),
        word if !word.is_empty() && word.chars().all(plain) => word,
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.enumerate().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell_and_holds_no_key() {
        let words = ["/usr/bin/ticket-router", "eval", "my file.csv", "it's", "", "--key=sk-ant-123", "--arms", "a,b"];
        let line = command_line(words.into_iter().map(String::from));
        assert_eq!(line, r"ticket-router eval 'my file.csv' 'it'\''s' '' … --arms a,b");
    }

    #[test]
    fn the_ending_chooses_the_form() {
        for good in ["a.html", "x/b.MD", "c.json"] {
            assert!(ReportFile::parse(good).is_ok(), "{good}");
        }
        for bad in ["a.pdf", "html", "a.html.gz", ""] {
            assert!(ReportFile::parse(bad).unwrap_err().contains(".html, .md or .json"), "{bad}");
        }
    }
}
