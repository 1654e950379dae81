//! The thread that owns the model.
//!
//! The model is blocking and wants `&mut`, so one thread has it. It takes all jobs that are
//! waiting together, sorts their texts by length and runs them in batches: padding is waste,
//! and texts of similar length need little.
//!
//! A few texts run on all processors together, which is the quickest for one. Many run in
//! lanes, each a copy of the model on its share of the processors: side by side they embed
//! 1.2 times as many texts in a second, with 8-bit weights 1.4 times, as nobody waits for
//! another within a pass.

use std::num::NonZero;
use std::slice;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use fastembed::TextEmbedding;
use tokio::sync::oneshot;

use crate::{Error, Result};

/// Texts per forward pass; measured best on two cores among 8, 16, 32 and 64.
pub(super) const BATCH_SIZE: usize = 16;

/// How many texts of waiting jobs are gathered at most.
const GATHERED_TEXTS: usize = 256;

/// At most so many lanes, since each has the model in memory once more.
const MAX_LANES: usize = 4;

/// Groups of fewer texts for each lane are no reason to load the lanes.
const TEXTS_OF_A_LANE: usize = 4;

/// The lanes take half a second to load, which pays from about so many texts on.
const TEXTS_BEFORE_LANES: usize = 512;

/// Loads a copy of the model for so many threads; unless given, one for each processor.
pub(super) type Load = Box<dyn Fn(Option<usize>) -> Result<TextEmbedding> + Send>;

type Vectors = Result<Vec<Vec<f32>>>;

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    pub(super) fn start(model: TextEmbedding, load: Load, batch_size: usize) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let mut models = Models { whole: model, lanes: Vec::new(), load, batch_size, texts: 0 };
        thread::Builder::new()
            .name("embedder".into())
            .spawn(move || models.serve(&waiting))
            .map_err(|e| Error::embedder(format!("the embedder's thread cannot be started: {e}")))?;
        Ok(Self { jobs })
    }

    pub(super) async fn embed(&self, texts: Vec<String>) -> Vectors {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { texts, reply }).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::embedder("the embedder stopped; the error before this one says why")
}

/// The model, as often as it is loaded.
struct Models {
    /// Runs on all processors.
    whole: TextEmbedding,
    /// Run side by side.
    lanes: Vec<TextEmbedding>,
    load: Load,
    batch_size: usize,
    /// How many have come in groups that lanes are for.
    texts: usize,
}

impl Models {
    /// Answers jobs until the last sender is gone.
    fn serve(&mut self, waiting: &mpsc::Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let mut jobs = vec![first];
            let mut gathered = jobs[0].texts.len();
            while gathered < GATHERED_TEXTS
                && let Ok(job) = waiting.try_recv()
            {
                gathered += job.texts.len();
                jobs.push(job);
            }
            let texts: Vec<&str> = jobs.iter().flat_map(|job| &job.texts).map(String::as_str).collect();
            match self.run(&texts) {
                Ok(mut vectors) => {
                    for job in jobs {
                        let rest = vectors.split_off(job.texts.len());
                        // A caller that has gone away needs no answer.
                        let _ = job.reply.send(Ok(std::mem::replace(&mut vectors, rest)));
                    }
                }
                Err(e) => {
                    for job in jobs {
                        let _ = job.reply.send(Err(e.clone()));
                    }
                }
            }
        }
    }

    /// Embeds in batches of similar length; the vectors come back in the order of the texts.
    fn run(&mut self, texts: &[&str]) -> Vectors {
        let batch_size = self.batch_size;
        let lengths = self.lengths(texts)?;
        let lanes = self.lanes(texts.len())?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&position| lengths[position]);
        let batches = order.chunks(batch_size.min(texts.len().div_ceil(lanes.len())));
        // The longest first, so that all lanes are done at about the same time.
        let waiting = Mutex::new(batches.rev());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = |model: &mut TextEmbedding| {
            let mut done = Vec::new();
            while let Some(batch) = next() {
                let batch_texts: Vec<&str> = batch.iter().map(|&position| texts[position]).collect();
                let vectors = model.embed(batch_texts, None).map_err(|e| failed(&e))?;
                done.extend(batch.iter().copied().zip(vectors));
            }
            Ok(done)
        };
        let work = &work;
        let done = thread::scope(|scope| {
            let (first, others) = lanes.split_first_mut().ok_or_else(stopped)?;
            let others: Vec<_> = others.iter_mut().map(|model| scope.spawn(move || work(model))).collect();
            let mut done = work(first)?;
            for other in others {
                done.extend(other.join().map_err(|_| stopped())??);
            }
            Ok::<_, Error>(done)
        })?;
        let mut vectors = vec![Vec::new(); texts.len()];
        for (position, vector) in done {
            vectors[position] = vector;
        }
        Ok(vectors)
    }

    /// By tokens: batches of texts that are of similar length in bytes are still a fifth padding.
    fn lengths(&self, texts: &[&str]) -> Result<Vec<usize>> {
        if self.batch_size == 1 || texts.len() == 1 {
            return Ok(texts.iter().map(|text| text.len()).collect());
        }
        let tokens = |text: &&str| self.whole.tokenizer.encode_fast(*text, true).map(|tokens| tokens.len());
        texts.iter().map(tokens).collect::<Result<_, _>>().map_err(|e| failed(&e))
    }

    /// What runs so many texts.
    fn lanes(&mut self, texts: usize) -> Result<&mut [TextEmbedding]> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let count = processors.min(MAX_LANES);
        self.texts += if texts >= count * TEXTS_OF_A_LANE { texts } else { 0 };
        // Once they are there, lanes take small groups too: several callers are at work then, whom
        // threads that wait for each other would only disturb.
        let is_worth_it = texts >= count && (!self.lanes.is_empty() || self.texts >= TEXTS_BEFORE_LANES);
        if !is_worth_it {
            return Ok(slice::from_mut(&mut self.whole));
        }
        while self.lanes.len() < count {
            self.lanes.push((self.load)(Some(processors / count))?);
        }
        Ok(&mut self.lanes)
    }
}

fn failed(e: &dyn std::fmt::Display) -> Error {
    Error::embedder(format!("the embedding model failed: {e}"))
}
