//! A labeler of one's own: rules by words come first, and the vote of the nearest examples decides the rest.
//!
//!     cargo run --release --example own_labeler -- "The office is on fire"

use std::sync::Arc;

use async_trait::async_trait;
use ticket_router::data::decision::Doubt;
use ticket_router::input::{Row, RowContent};
use ticket_router::learn::index::{IndexOptions, index};
use ticket_router::{
    Classifier, Embedder as _, Error, Evidence, HashEmbedder, Label, Labeler, MemoryStore, Options, Result, Ticket,
    VoteLabeler,
};

/// A word that decides, and the intent that it stands for.
struct Rules(Vec<(&'static str, &'static str)>);

#[async_trait]
impl Labeler for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    /// Must be sure: half of the neighbours' votes at least.
    fn default_min_confidence(&self) -> f32 {
        0.5
    }

    async fn label(&self, evidence: &Evidence) -> Result<Label> {
        let text = evidence.ticket.text.to_lowercase();
        if text.contains('\u{0}') {
            // This ticket cannot be judged, and asking again changes nothing. `transient` is for what may work later,
            // `fatal` for what no ticket survives.
            return Err(Error::permanent("the text holds bytes that are no text; send it again as UTF-8"));
        }
        let Some((word, intent)) = self.0.iter().find(|(word, _)| text.contains(word)) else {
            return VoteLabeler.label(evidence).await;
        };
        Ok(Label {
            intent: Some((*intent).to_owned()),
            reasoning: Some(format!("the text has the word {word:?}")),
            confidence: Some(1.0),
            // A person looks at what the taxonomy does not know.
            doubt: evidence.taxonomy.resolve(intent).is_none().then(|| Doubt::NotInTaxonomy((*intent).to_owned())),
            ..Label::default()
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let store = Arc::new(MemoryStore::new(HashEmbedder.dimension()));
    let history = [
        ("My parcel has not arrived", "order_status"),
        ("Where is my order?", "order_status"),
        ("I forgot my password", "password_reset"),
        ("The password link does not work", "password_reset"),
        ("Smoke comes out of the device", "safety"),
    ];
    let row = |(place, (text, intent)): (usize, (&str, &str))| Row {
        place: format!("row {place}"),
        id: None,
        content: Ok(RowContent { ticket: Ticket::new(text), intent: Some(intent.to_owned()), reasoning: None }),
    };
    let rows = history.into_iter().enumerate().map(row).collect();
    index(store.as_ref(), &HashEmbedder, rows, &IndexOptions::default(), &|_, _| {}).await?;

    // So small a history knows nothing like most tickets.
    let mut options = Options::default();
    options.novelty = false;
    let labeler = Rules(vec![("fire", "safety"), ("lawyer", "legal")]);
    let classifier = Classifier::builder()
        .store(store)
        .embedder(Arc::new(HashEmbedder))
        .labeler(Arc::new(labeler))
        .options(options)
        .build()
        .await?;
    let mut texts: Vec<String> = std::env::args().skip(1).collect();
    if texts.is_empty() {
        texts = ["The office is on fire", "My lawyer will call you", "Where is my parcel?"].map(str::to_owned).to_vec();
    }
    for text in texts {
        let answer = classifier.classify(&Ticket::new(text.as_str())).await?;
        println!("{text:?}: {:?} {:?}, {}", answer.decision, answer.intent, answer.reason);
    }
    Ok(())
}
