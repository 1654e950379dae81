//! How an error is shown: its text, and the flag that helps.

use crate::{Error, Remedy};

/// One line: contexts, then the first error of the library, whose text is complete.
pub(super) fn line(e: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in e.chain() {
        let Some(ours) = cause.downcast_ref::<Error>() else {
            parts.push(cause.to_string());
            continue;
        };
        parts.push(explained(ours));
        break;
    }
    parts.join(": ")
}

/// The error's text and what to do about it.
pub(super) fn explained(e: &Error) -> String {
    e.remedy().map_or_else(|| e.to_string(), |remedy| format!("{e}; {}", advice(remedy)))
}

fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::RaiseMaxCost => "run the same command with a higher --max-cost to go on",
        Remedy::AddPrices => "add them with --models FILE",
        Remedy::RunAgain => "run the same command again to go on",
        Remedy::Resend => "--resend sends them again, at the risk of paying twice",
        Remedy::OtherJournal => "wait for it, or choose another --output",
        Remedy::FreshJournal => "start over with --fresh",
        Remedy::AskApi => "leave out --replay to ask the API",
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_line_has_the_contexts_and_the_advice_and_no_cause_twice() {
        let cause = std::io::Error::other("disk full");
        let error = Error::store("cannot write: disk full").with_source(cause).with_remedy(Remedy::FreshJournal);
        let shown = line(&Err::<(), _>(error).context("the run").unwrap_err());
        assert_eq!(shown, "the run: cannot write: disk full; start over with --fresh");
        assert_eq!(line(&anyhow::anyhow!("inner").context("outer")), "outer: inner");
    }
}
