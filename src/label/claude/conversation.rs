//! One conversation about a ticket: a request, and the questions back until an intent is named.

use super::answer::{doubt, read, usage};
use super::{ClaudeLabeler, Offer};
use crate::claude::{Answer, Message, Request};
use crate::data::decision::Doubt;
use crate::data::evidence::Evidence;
use crate::data::label::Label;
use crate::stages::parse::parse;
use crate::{Error, ErrorKind, Result};

/// Output tokens for the second try, after an answer that was cut off.
const MORE_TOKENS: u32 = 4096;

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ended with an intent, or with a doubt that no further question would lift.
    Settled,
    /// It ended with a whole answer that names no intent of the taxonomy.
    NoIntent,
}

impl ClaudeLabeler {
    /// Asks which of the offered intents it is, and puts the answer into the label. An answer that was
    /// cut off is asked for again with more room. After an answer that names no intent there is one
    /// question back for a ticket.
    pub(super) async fn converse(
        &self,
        offer: &Offer<'_>,
        evidence: &Evidence,
        may_ask_back: &mut bool,
        label: &mut Label,
    ) -> Result<End> {
        let mut request = self.request_with(offer, evidence)?;
        loop {
            let answer = match self.ask(&request, label).await {
                Ok(answer) => answer,
                // An error that stops the run, or a request that waits for a batch, is not this ticket's matter.
                Err(e) if matches!(e.kind(), ErrorKind::Stopped | ErrorKind::Pending) || label.usage.requests == 0 => {
                    return Err(e);
                }
                Err(e) => {
                    // The earlier answers were paid for: keep what is known of them.
                    label.doubt = label.doubt.take().map(|doubt| Doubt::AskedInVain(Box::new(doubt), e.to_string()));
                    return Ok(End::Settled);
                }
            };
            let text = answer.text();
            let parsed = parse(&text);
            let named = parsed.intent.clone();
            read(parsed, &evidence.taxonomy, label);
            label.doubt = doubt(&answer, named.as_deref(), label.intent.is_some());
            let ended = matches!(answer.stop_reason.as_deref(), Some("end_turn" | "stop_sequence"));
            let more_room = self.room_of(MORE_TOKENS);
            if label.intent.is_some() {
                return Ok(End::Settled);
            } else if answer.stop_reason.as_deref() == Some("max_tokens") && request.max_tokens < more_room {
                request.max_tokens = more_room;
            } else if !ended || text.trim().is_empty() {
                return Ok(End::Settled);
            } else if offer.is_way_out(named.as_deref()) {
                label.doubt = Some(Doubt::NoneFits);
                return Ok(End::NoIntent);
            } else if !std::mem::take(may_ask_back) {
                return Ok(End::NoIntent);
            } else {
                let question = self.prompts.repair(named.as_deref(), &offer.names(&evidence.taxonomy), self.form)?;
                request.messages.push(Message { role: "assistant", content: text });
                request.messages.push(Message { role: "user", content: question });
            }
        }
    }

    /// Sends one request and adds what it used to the label.
    async fn ask(&self, request: &Request, label: &mut Label) -> Result<Answer> {
        let source = self.source.as_ref().ok_or_else(|| Error::internal("this labeler has no source of answers"))?;
        let (answer, spared) = source.send(request).await?;
        label.spared += spared;
        label.usage += usage(&answer.usage);
        label.cost_usd = label.cost_usd.zip(self.model.cost_of(&answer)).map(|(sum, cost)| sum + cost);
        label.request_id.clone_from(&answer.request_id);
        Ok(answer)
    }
}
