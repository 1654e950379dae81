//! The arms of `eval`: which are compared, and what each of them is made of.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::claude::ClaudeRun;
use super::evidence::{SelectionArg, StrategyArg};
use super::wiring::{LabelerKind, Labelling, share};
use crate::label::{Labeler, VoteLabeler};
use crate::measure::eval::{Arm, Shows};
use crate::pipeline::{Options, Retriever, Strategy};
use crate::stages::select::Selection;
use crate::{Error, Result};

/// What an `--arm` may set.
const KEYS: &str = "labeler, model, k, strategy, selection, prompts, examples, threshold";

/// Flags on the arms.
#[derive(Debug, Args)]
pub(super) struct ArmArgs {
    /// Arms to compare: zero (no examples), static (fixed ones, as many as retrieved shows),
    /// `static_tokens` (fixed ones, about as long as what retrieved shows), retrieved, vote (no
    /// Claude), cascade (the vote where it is sure), or none but those of --arm
    /// [default: all for claude, static and retrieved for vote]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    arms: Option<Vec<ArmArg>>,
    /// Another arm, such as small:model=claude-haiku-5-5,k=8; may be given several times. Its
    /// keys: labeler, model, k, strategy, selection, prompts, examples (retrieved, static,
    /// `static_tokens`, none), threshold (of a cascade)
    #[arg(long, value_name = "NAME:KEY=VALUE,...", value_parser = parse_arm)]
    arm: Vec<NamedArm>,
    /// Ask Claude so many times, to see how often the answer stays; the first answer is scored
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum ArmArg {
    Zero,
    Static,
    StaticTokens,
    Retrieved,
    Vote,
    Cascade,
    None,
}

/// An arm as it was asked for; what is not set is as for the whole run.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedArm {
    pub(super) name: String,
    labeler: Option<LabelerKind>,
    model: Option<String>,
    prompts: Option<PathBuf>,
    examples: Option<Shows>,
    changes: Vec<Change>,
}

/// What an arm has otherwise than the whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    K(usize),
    Selection(Selection),
    Strategy(Strategy),
    Cascade(f32),
}

impl Change {
    fn apply(self, options: &mut Options) {
        match self {
            Self::K(k) => options.k = k,
            Self::Selection(selection) => options.selection = selection,
            Self::Strategy(strategy) => options.strategy = strategy,
            Self::Cascade(threshold) => options.cascade = Some(threshold),
        }
    }
}

impl NamedArm {
    fn options(&self, of_run: &Options) -> Options {
        let mut options = of_run.clone();
        self.changes.iter().for_each(|change| change.apply(&mut options));
        options
    }
}

impl ArmArgs {
    /// Whether Claude is asked for though the run's labeler is another.
    pub(super) fn name_claude(&self) -> bool {
        self.arm.iter().any(|arm| matches!(arm.labeler, Some(LabelerKind::Claude | LabelerKind::Cascade)))
    }

    /// The arms that are asked for, in their order. `claude` is the run that those with Claude are part of.
    pub(super) fn wanted(&self, labelling: &Labelling, claude: Option<&ClaudeRun>) -> Result<Vec<NamedArm>> {
        let is_claude = labelling.claude().is_some();
        if labelling.options.cascade.is_some() {
            return Err(Error::configuration(
                "--labeler cascade: in eval the cascade is an arm; use --labeler claude --arms retrieved,vote,cascade",
            ));
        }
        if self.repeat > 1 && claude.is_none() {
            return Err(Error::configuration(format!(
                "--repeat {}: vote always answers the same; --repeat is for --labeler claude",
                self.repeat
            )));
        }
        let usual: &[ArmArg] =
            if is_claude { &ArmArg::value_variants()[..6] } else { &[ArmArg::Static, ArmArg::Retrieved] };
        let mut wanted: Vec<NamedArm> = Vec::new();
        for arm in self.arms.as_deref().unwrap_or(usual) {
            let refused = match arm {
                ArmArg::Zero if !is_claude => {
                    "zero shows no examples, and vote has nothing else to go by; leave it out"
                }
                ArmArg::Vote if !is_claude => "vote is what retrieved is with --labeler vote; leave it out",
                ArmArg::Cascade if !is_claude => "cascade asks Claude where the vote is not sure; use --labeler claude",
                _ => "",
            };
            if !refused.is_empty() {
                return Err(Error::configuration(format!("--arms {refused}")));
            }
            let named = arm.named();
            if *arm != ArmArg::None && !wanted.iter().any(|known| known.name == named.name) {
                wanted.push(named);
            }
        }
        for named in &self.arm {
            if wanted.iter().any(|known| known.name == named.name) {
                return Err(Error::configuration(format!(
                    "--arm {}: there is an arm of this name already; choose another",
                    named.name
                )));
            }
            wanted.push(named.clone());
        }
        if wanted.is_empty() {
            return Err(Error::configuration("--arms none leaves nothing to compare; give an --arm"));
        }
        Ok(wanted)
    }

    /// Makes them, and says which threshold a cascade has where none was given: that of the store
    /// of `retriever`, if it was calibrated.
    pub(super) async fn build(
        &self,
        wanted: Vec<NamedArm>,
        labelling: &Labelling,
        claude: Option<&ClaudeRun>,
        retriever: Option<&Retriever>,
    ) -> Result<(Vec<Arm>, Vec<String>)> {
        let (mut arms, mut notes) = (Vec::with_capacity(wanted.len()), Vec::new());
        for named in &wanted {
            let mut options = named.options(&labelling.options);
            if named.labeler == Some(LabelerKind::Cascade) && options.cascade.is_none() {
                let is_fixed = matches!(named.examples, Some(Shows::Static | Shows::StaticTokens));
                let (threshold, note) = labelling.threshold(retriever.filter(|_| !is_fixed), &options).await?;
                options.cascade = Some(threshold);
                notes.extend(note.map(|note| format!("arm {}: {note}", named.name)));
            }
            arms.push(self.arm(named, labelling, claude)?.with_options(options));
        }
        Ok((arms, notes))
    }

    /// The labeler's usual arm, for a learning curve.
    pub(super) fn retrieved(labelling: &Labelling) -> Arm {
        let labeler =
            labelling.claude().map_or_else(|| Arc::new(VoteLabeler) as Arc<dyn Labeler>, |run| run.arm_labeler(0));
        Arm::new("retrieved", Shows::Retrieved, labeler).with_options(labelling.options.clone())
    }

    fn arm(&self, named: &NamedArm, labelling: &Labelling, claude: Option<&ClaudeRun>) -> Result<Arm> {
        let usual = if labelling.claude().is_some() { LabelerKind::Claude } else { LabelerKind::Vote };
        let kind = named.labeler.unwrap_or(usual);
        let shows = named.examples.unwrap_or(Shows::Retrieved);
        let refuse = |why: &str| Err(Error::configuration(format!("--arm {}: {why}", named.name)));
        let mut again = Vec::new();
        let labeler: Arc<dyn Labeler> = match (kind, claude) {
            (LabelerKind::Vote, _) if named.model.is_some() || named.prompts.is_some() => {
                return refuse("vote has no model and no prompts; add labeler=claude");
            }
            (LabelerKind::Vote, _) if shows == Shows::Nothing => {
                return refuse("without examples vote has nothing to go by");
            }
            (LabelerKind::Vote, _) => Arc::new(VoteLabeler),
            (_, None) => return Err(Error::internal("an arm asks Claude, but the run has none")),
            (_, Some(run)) => {
                let run = run.variant(named.model.as_deref(), named.prompts.as_deref())?;
                again = (1..self.repeat).map(|round| run.arm_labeler(round)).collect();
                run.arm_labeler(0)
            }
        };
        if kind != LabelerKind::Cascade && named.changes.iter().any(|change| matches!(change, Change::Cascade(_))) {
            return refuse("a threshold is for labeler=cascade");
        }
        Ok(Arm { again, ..Arm::new(&named.name, shows, labeler) })
    }
}

impl ArmArg {
    fn named(self) -> NamedArm {
        let (labeler, examples) = match self {
            Self::Zero => (None, Shows::Nothing),
            Self::Static => (None, Shows::Static),
            Self::StaticTokens => (None, Shows::StaticTokens),
            Self::Vote => (Some(LabelerKind::Vote), Shows::Retrieved),
            Self::Cascade => (Some(LabelerKind::Cascade), Shows::Retrieved),
            Self::Retrieved | Self::None => (None, Shows::Retrieved),
        };
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        NamedArm { name, labeler, examples: Some(examples), ..NamedArm::default() }
    }
}

/// Whether there can be an arm of this name without an `--arm`.
pub(super) fn is_usual(name: &str) -> bool {
    ArmArg::from_str(name, false).is_ok()
}

fn parse_arm(text: &str) -> Result<NamedArm, String> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let mut arm = NamedArm { name: name.trim().to_owned(), ..NamedArm::default() };
    if arm.name.is_empty() || arm.name.contains('=') {
        return Err("an arm starts with its name; write it as small:model=claude-haiku-5-5,k=8".into());
    }
    for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| format!("{setting:?} has no =; the keys are {KEYS}"))?;
        let (key, value) = (key.trim(), value.trim());
        let wrong = |allowed: &str| format!("{key}={value}: choose {allowed}");
        match key {
            "labeler" => arm.labeler = Some(chosen(value).ok_or_else(|| wrong("claude, vote or cascade"))?),
            "model" => arm.model = Some(value.to_owned()),
            "k" => {
                let k = value.parse().ok().filter(|k| (1..=50).contains(k)).ok_or_else(|| wrong("1 to 50"))?;
                arm.changes.push(Change::K(k));
            }
            "strategy" => {
                let strategy: StrategyArg = chosen(value).ok_or_else(|| wrong("flat or hierarchical"))?;
                arm.changes.push(Change::Strategy(strategy.into()));
            }
            "selection" => {
                let selection: SelectionArg = chosen(value).ok_or_else(|| wrong("nearest, diverse or contrastive"))?;
                arm.changes.push(Change::Selection(selection.into()));
            }
            "prompts" => arm.prompts = Some(value.into()),
            "threshold" => arm.changes.push(Change::Cascade(share(value)?)),
            "examples" => {
                arm.examples = Some(match value {
                    "retrieved" => Shows::Retrieved,
                    "static" => Shows::Static,
                    "static_tokens" => Shows::StaticTokens,
                    "none" => Shows::Nothing,
                    _ => return Err(wrong("retrieved, static, static_tokens or none")),
                });
            }
            _ => return Err(format!("there is no key {key:?}; the keys are {KEYS}")),
        }
    }
    Ok(arm)
}

fn chosen<T: ValueEnum>(value: &str) -> Option<T> {
    T::from_str(value, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_read_key_by_key() {
        let arm =
            parse_arm("small: model=m, k=8,strategy=hierarchical,selection=nearest,prompts=p,examples=static").unwrap();
        assert_eq!((arm.name.as_str(), arm.model.as_deref()), ("small", Some("m")));
        let options = arm.options(&Options { min_confidence: Some(0.3), ..Options::default() });
        assert_eq!((options.k, options.min_confidence, options.cascade), (8, Some(0.3), None));
        assert_eq!((options.strategy, options.selection), (Strategy::Hierarchical, Selection::Nearest));
        assert_eq!((arm.prompts, arm.examples), (Some("p".into()), Some(Shows::Static)));
        assert_eq!(parse_arm("plain").unwrap().name, "plain");
    }

    #[test]
    fn what_an_arm_cannot_have_is_named() {
        for (arm, parts) in [
            ("x:kk=8", ["\"kk\"", KEYS]),
            ("x:k", ["\"k\" has no =", KEYS]),
            ("x:k=80", ["k=80", "1 to 50"]),
            ("x:labeler=oracle", ["oracle", "claude, vote or cascade"]),
            ("x:examples=some", ["some", "static_tokens"]),
            ("k=8", ["starts with its name", "small:model"]),
        ] {
            let refused = parse_arm(arm).unwrap_err();
            assert!(parts.iter().all(|part| refused.contains(part)), "{arm}: {refused}");
        }
    }
}
