//! Flags on what is retrieved and how it is used.

use clap::{Args, ValueEnum};

use crate::Result;
use crate::cli::config::Config;
use crate::pipeline::{DEFAULT_K, Options, Strategy};
use crate::stages::select::Selection;
use crate::store::Filter;

/// What the labeler gets to see.
#[derive(Debug, Args)]
pub(super) struct EvidenceArgs {
    /// How many examples are shown [default: 5]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    k: Option<u32>,
    /// How the examples are chosen from the neighbours: the nearest, diverse ones, or those of the leading
    /// intents side by side
    #[arg(long, value_enum, default_value = "contrastive")]
    selection: SelectionArg,
    /// How an intent is chosen: once among all, or level by level down the taxonomy
    #[arg(long, value_enum, default_value = "flat")]
    strategy: StrategyArg,
    /// Search only examples that pass, such as language=de, created_after=2026-01-01 or an attribute;
    /// may be given several times
    #[arg(long, value_name = "FIELD=VALUE")]
    filter: Vec<String>,
    /// Leave the store's linear probe out: the neighbours alone vote
    #[arg(long)]
    no_probe: bool,
    /// What novelty does: a ticket that resembles no example goes to review, or off for no such check
    #[arg(long, value_enum, default_value = "review")]
    unknown: UnknownArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UnknownArg {
    Review,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SelectionArg {
    Nearest,
    Diverse,
    Contrastive,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum StrategyArg {
    Flat,
    Hierarchical,
}

impl From<SelectionArg> for Selection {
    fn from(selection: SelectionArg) -> Self {
        match selection {
            SelectionArg::Nearest => Self::Nearest,
            SelectionArg::Diverse => Self::Diverse,
            SelectionArg::Contrastive => Self::Contrastive,
        }
    }
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::Flat => Self::Flat,
            StrategyArg::Hierarchical => Self::Hierarchical,
        }
    }
}

impl EvidenceArgs {
    /// The flags, checked; the rest of the options is as usual.
    pub(super) fn resolve(&self, config: &Config) -> Result<Options> {
        Ok(Options {
            k: self.k.map(|n| n as usize).or(config.k).unwrap_or(DEFAULT_K),
            selection: self.selection.into(),
            strategy: self.strategy.into(),
            filter: Filter::parse(&self.filter)?,
            probe: !self.no_probe,
            novelty: self.unknown == UnknownArg::Review,
            ..Options::default()
        })
    }
}
