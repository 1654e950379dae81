//! What happens to a ticket, and why: as codes that programs branch on, with the figures behind them.

use serde::{Deserialize, Serialize};

/// What happens to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It goes to the queue of its intent.
    Route,
    /// A person decides; the intent is a best guess.
    Review,
}

/// Why a ticket is routed or reviewed, for programs that branch on it. The names stay; more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// Routed: the answer is as sure as was asked for.
    Sure,
    /// Routed: the answer names an intent, and no confidence was asked for.
    Unchecked,
    /// Less sure than was asked for.
    BelowMinimum,
    /// Less sure than the dial asks for.
    BelowDial,
    /// The dial has no threshold: answers are not right often enough from any score on.
    NoDial,
    /// The answer names no intent.
    NoIntent,
    /// The intent is the fallback: the ticket is out-of-scope.
    Fallback,
    /// Novelty: the ticket resembles no example of the store.
    UnlikeAnything,
    /// In a hierarchy, the category is sure and the choice within it is not.
    StepUnsure,
    /// There is no text to judge by.
    NoText,
    /// There are no examples to compare with.
    NoExamples,
    /// The model refused to answer.
    Refused,
    /// The answer ended before it named an intent.
    CutOff,
    /// Ticket and examples are longer than the model takes.
    TooLong,
    /// The model stopped for a reason that is not known here.
    Stopped,
    /// The answer is no intent of the taxonomy.
    NotInTaxonomy,
    /// The model finds that none of the offered intents fits.
    NoneFits,
    /// A doubt of your own labeler.
    Doubt,
}

/// Why a labeler itself wants a person to look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// There are no examples to compare with.
    NoExamples,
    /// The model refused to answer, perhaps with a category.
    Refused(Option<String>),
    /// The answer ended before it named an intent.
    CutOff,
    /// Ticket and examples are longer than the model takes.
    TooLong,
    /// The model stopped for this reason, which is not known here.
    Stopped(String),
    /// The answer is this, which is no intent of the taxonomy.
    NotInTaxonomy(String),
    /// The answer holds no intent.
    NoIntent,
    /// The model finds that none of the offered intents fits.
    NoneFits,
    /// A doubt that a question back should have lifted, and the error by which that question failed.
    AskedInVain(Box<Doubt>, String),
    /// A doubt of your own labeler, in words.
    Other(String),
}

impl Doubt {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::NoExamples => ReasonCode::NoExamples,
            Self::Refused(_) => ReasonCode::Refused,
            Self::CutOff => ReasonCode::CutOff,
            Self::TooLong => ReasonCode::TooLong,
            Self::Stopped(_) => ReasonCode::Stopped,
            Self::NotInTaxonomy(_) => ReasonCode::NotInTaxonomy,
            Self::NoIntent => ReasonCode::NoIntent,
            Self::NoneFits => ReasonCode::NoneFits,
            Self::AskedInVain(first, _) => first.code(),
            Self::Other(_) => ReasonCode::Doubt,
        }
    }
}

/// Why a ticket is routed or reviewed, with the figures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The confidence of the answer was compared with what is asked for.
    Compared(Standard),
    /// The labeler's own doubt.
    Doubt(Doubt),
    /// The answer names no intent.
    NoIntent,
    /// The intent is this fallback.
    Fallback(String),
    /// Novelty: the ticket resembles no example; this is the nearest one.
    Unlike(Nearest),
    /// The ticket belongs to this category, but the choice within it is unsure, for this reason.
    Within(String, Box<Reason>),
    /// There is no text to judge by.
    NoText,
}

/// What the confidence of an answer was compared with. Shares are 0 to 1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Standard {
    /// The agreement of neighbours and probe on this intent, with the share that is asked for.
    Agreement {
        /// The intent.
        intent: String,
        /// The agreement on it.
        confidence: f32,
        /// What is asked for.
        asked: f32,
    },
    /// The probability that the answer is right, with the one that is asked for.
    Probability {
        /// That the answer is right.
        probability: f32,
        /// What is asked for.
        asked: f32,
    },
    /// The dial of a calibration.
    Dial {
        /// That the answer is right.
        probability: f32,
        /// Whether the score reaches the threshold.
        is_reached: bool,
        /// The share of the routed answers that the dial is set to.
        target: f64,
        /// The probability from which on answers are routed; `None` where none is.
        from: Option<f32>,
    },
}

impl Standard {
    /// Whether the answer is as sure as is asked for.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self {
            Self::Agreement { confidence, asked, .. } => confidence >= asked,
            Self::Probability { probability, asked } => probability >= asked,
            Self::Dial { is_reached, .. } => *is_reached,
        }
    }

    fn code(&self) -> ReasonCode {
        match self {
            Self::Agreement { asked, .. } if *asked <= 0.0 => ReasonCode::Unchecked,
            _ if self.is_met() => ReasonCode::Sure,
            Self::Dial { from: Some(_), .. } => ReasonCode::BelowDial,
            Self::Dial { from: None, .. } => ReasonCode::NoDial,
            Self::Agreement { .. } | Self::Probability { .. } => ReasonCode::BelowMinimum,
        }
    }
}

impl Reason {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::Compared(standard) => standard.code(),
            Self::Doubt(doubt) => doubt.code(),
            Self::NoIntent => ReasonCode::NoIntent,
            Self::Fallback(_) => ReasonCode::Fallback,
            Self::Unlike(_) => ReasonCode::UnlikeAnything,
            // The code of the step's own reason says more, where it has one.
            Self::Within(_, why) => match why.code() {
                ReasonCode::BelowMinimum => ReasonCode::StepUnsure,
                code => code,
            },
            Self::NoText => ReasonCode::NoText,
        }
    }

    /// The decision that this reason means.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::Compared(standard) if standard.is_met() => Decision::Route,
            _ => Decision::Review,
        }
    }
}

/// The nearest example of a novel ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Its ticket id.
    pub id: String,
    /// Its cosine similarity, -1 to 1.
    pub cosine: f32,
}
