//! Reasons in English: the only place where they are worded.

use crate::data::decision::{Doubt, Nearest, Reason, Standard};

/// A reason in words.
#[must_use]
pub fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Compared(standard) => compared(standard),
        Reason::Doubt(doubt) => doubted(doubt),
        Reason::NoIntent => "the labeler named no intent".into(),
        Reason::Fallback(intent) => format!("{intent:?} is the fallback: no intent of the desk fits"),
        Reason::Unlike(Nearest { id, cosine }) => {
            format!("it resembles no example: the nearest is {id}, with a cosine similarity of {cosine:.2}")
        }
        Reason::Within(group, why) => {
            format!("it belongs to the category {group:?}, but the choice within it is unsure: {}", sentence(why))
        }
        Reason::NoText => "the ticket has no text".into(),
    }
}

fn compared(standard: &Standard) -> String {
    match standard {
        Standard::Agreement { asked, .. } if *asked <= 0.0 => "the answer names an intent of the taxonomy".into(),
        Standard::Agreement { intent, confidence, asked } => {
            let less = if standard.is_met() {
                String::new()
            } else {
                format!(", less than the {:.0} % asked for", asked * 100.0)
            };
            format!("the agreement on {intent:?} is {:.0} %{less}", confidence * 100.0)
        }
        Standard::Probability { probability, asked } if standard.is_met() => {
            format!("{}; {} are asked for", right(*probability), percent(*asked))
        }
        Standard::Probability { probability, asked } => {
            format!("{}, less than the {} asked for", right(*probability), percent(*asked))
        }
        Standard::Dial { probability, is_reached, target, from } => {
            let (right, target) = (right(*probability), (target * 1e3).round() / 10.0);
            match from {
                _ if *is_reached => format!("{right}; routed at the dial of {target} %"),
                Some(from) => format!("{right}; the dial of {target} % routes from {:.1} % on", from * 100.0),
                None => format!(
                    "{right}; the dial of {target} % has no threshold: calibrate on more tickets, or at a lower target"
                ),
            }
        }
    }
}

fn doubted(doubt: &Doubt) -> String {
    match doubt {
        Doubt::NoExamples => "no examples to compare with".into(),
        Doubt::Refused(None) => "the model refused to answer".into(),
        Doubt::Refused(Some(category)) => format!("the model refused to answer ({category})"),
        Doubt::CutOff => "the answer was cut off before it named an intent".into(),
        Doubt::TooLong => "the ticket and its examples are too long for the model".into(),
        Doubt::Stopped(reason) => format!("the model stopped for an unknown reason ({reason})"),
        Doubt::NotInTaxonomy(answer) => format!("the model answered {answer:?}, which is no intent of the taxonomy"),
        Doubt::NoIntent => "the answer holds no intent".into(),
        Doubt::NoneFits => "the model finds no fitting intent in the shortlist".into(),
        Doubt::AskedInVain(first, error) => format!("{}; asking again failed: {error}", doubted(first)),
        Doubt::Other(text) => text.clone(),
    }
}

fn right(probability: f32) -> String {
    format!("right with {} probability", percent(probability))
}

/// Nothing is certain, so nothing is rounded to that.
fn percent(share: f32) -> String {
    let percent = share * 100.0;
    if (99.5..100.0).contains(&percent) { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_sentence() {
        let agreement = |confidence, asked| Standard::Agreement { intent: "a".into(), confidence, asked };
        let dial = |is_reached, from| Standard::Dial { probability: 0.9158, is_reached, target: 0.97, from };
        let probability = |probability, asked| Standard::Probability { probability, asked };
        let compared = |standard| sentence(&Reason::Compared(standard));
        assert_eq!(compared(agreement(0.6, 0.0)), "the answer names an intent of the taxonomy");
        assert_eq!(compared(agreement(0.6, 0.5)), "the agreement on \"a\" is 60 %");
        assert_eq!(compared(agreement(0.6, 0.7)), "the agreement on \"a\" is 60 %, less than the 70 % asked for");
        assert_eq!(compared(dial(true, Some(0.9))), "right with 92 % probability; routed at the dial of 97 %");
        assert!(compared(dial(false, Some(0.916))).ends_with("the dial of 97 % routes from 91.6 % on"));
        assert!(compared(dial(false, None)).contains("no threshold"));
        assert_eq!(compared(probability(0.999, 0.9)), "right with 99.9 % probability; 90 % are asked for");
        assert!(compared(probability(0.8, 0.9)).ends_with("80 % probability, less than the 90 % asked for"));
        let refused = Doubt::AskedInVain(Box::new(Doubt::NoneFits), "busy".into());
        let within = Reason::Within("cards".into(), Box::new(Reason::Doubt(refused)));
        assert_eq!(
            sentence(&within),
            "it belongs to the category \"cards\", but the choice within it is unsure: the model finds no fitting intent in the shortlist; \
             asking again failed: busy"
        );
    }
}
