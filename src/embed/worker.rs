//! The thread that owns the model.
//!
//! The model is blocking and wants `&mut`, so one thread owns it. The thread takes all waiting jobs
//! together, sorts their texts by length and runs them in batches. Texts of similar length need
//! little padding, and padding is waste.
//!
//! A few texts run on all processors together, which is the quickest for a single text. Many texts run in
//! lanes. A lane is a copy of the model on its share of the processors. Lanes embed 1.2 times as many
//! texts in a second, and 1.4 times with 8-bit weights, because no thread waits for another within a pass.

use std::num::NonZero;
use std::slice;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use fastembed::TextEmbedding;
use tokio::sync::oneshot;

use crate::{Error, Result};

/// Texts in a forward pass: the best of 8, 16, 32 and 64 on two cores.
pub(super) const BATCH_SIZE: usize = 16;

/// How many texts of waiting jobs are gathered at most.
const GATHERED_TEXTS: usize = 256;

/// The most lanes: each has the model in memory once more.
const MAX_LANES: usize = 4;

/// The lanes are loaded for groups of at least so many texts a lane.
const TEXTS_OF_A_LANE: usize = 4;

/// The lanes are loaded from about so many texts on: loading takes half a second.
const TEXTS_BEFORE_LANES: usize = 512;

/// Loads a copy of the model for so many threads; `None` means a thread for each processor.
pub(super) type Load = Box<dyn Fn(Option<usize>) -> Result<TextEmbedding> + Send>;

type Vectors = Result<Vec<Vec<f32>>>;

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

/// A job in progress: some of its texts are embedded. When it is dropped unanswered, its caller is told.
struct Pending {
    vectors: Vec<Vec<f32>>,
    left: usize,
    reply: Option<oneshot::Sender<Vectors>>,
}

impl Pending {
    /// Answers the job once every text has its vector.
    fn put(&mut self, place: usize, vector: Vec<f32>) {
        self.vectors[place] = vector;
        self.left -= 1;
        if self.left == 0 {
            let vectors = std::mem::take(&mut self.vectors);
            self.answer(Ok(vectors));
        }
    }

    fn answer(&mut self, vectors: Vectors) {
        if let Some(reply) = self.reply.take() {
            // A caller that has gone away needs no answer.
            let _ = reply.send(vectors);
        }
    }
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

/// The copies of the model.
struct Models {
    /// The copy that runs on all processors.
    whole: TextEmbedding,
    /// The copies that run side by side.
    lanes: Vec<TextEmbedding>,
    load: Load,
    batch_size: usize,
    /// How many texts have come so far in groups that are large enough for lanes.
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
            self.run(jobs);
        }
    }

    /// Embeds in batches of similar length. Each job is answered as soon as its last text is done, so its
    /// caller goes on while others wait.
    fn run(&mut self, jobs: Vec<Job>) {
        let (mut all, mut texts, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (number, job) in jobs.into_iter().enumerate() {
            let count = job.texts.len();
            all.push(Mutex::new(Pending { vectors: vec![Vec::new(); count], left: count, reply: Some(job.reply) }));
            places.extend((0..count).map(|place| (number, place)));
            texts.extend(job.texts);
        }
        let pending = |position: usize| {
            let (number, place) = places[position];
            (all[number].lock().unwrap_or_else(PoisonError::into_inner), place)
        };
        let done = |positions: &[usize], vectors: Vectors| match vectors {
            Ok(vectors) => {
                for (&position, vector) in positions.iter().zip(vectors) {
                    let (mut job, place) = pending(position);
                    job.put(place, vector);
                }
            }
            Err(e) => positions.iter().for_each(|&position| pending(position).0.answer(Err(e.clone()))),
        };
        if let Err(e) = self.run_batches(&texts, &done) {
            (0..texts.len()).for_each(|position| pending(position).0.answer(Err(e.clone())));
        }
    }

    /// Hands over the positions and the vectors of every batch that any lane has done.
    fn run_batches(&mut self, texts: &[String], done: &(impl Fn(&[usize], Vectors) + Sync)) -> Result<()> {
        let batch_size = self.batch_size;
        let lengths = self.lengths(texts)?;
        let lanes = self.lanes(texts.len())?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&position| lengths[position]);
        // As many batches for every lane.
        let batches = texts.len().div_ceil(batch_size).next_multiple_of(lanes.len());
        let batches = order.chunks(texts.len().div_ceil(batches));
        // The longest first, so that all lanes are done at about the same time.
        let waiting = Mutex::new(batches.rev());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = |model: &mut TextEmbedding| {
            while let Some(batch) = next() {
                let batch_texts: Vec<&str> = batch.iter().map(|&position| texts[position].as_str()).collect();
                done(batch, model.embed(batch_texts, None).map_err(|e| failed(&e)));
            }
        };
        let work = &work;
        thread::scope(|scope| {
            let (first, others) = lanes.split_first_mut().ok_or_else(stopped)?;
            let others: Vec<_> = others.iter_mut().map(|model| scope.spawn(move || work(model))).collect();
            work(first);
            others.into_iter().try_for_each(|other| other.join().map_err(|_| stopped()))
        })
    }

    /// The lengths in tokens. Batches by the length in bytes would still be a fifth padding.
    fn lengths(&self, texts: &[String]) -> Result<Vec<usize>> {
        if self.batch_size == 1 || texts.len() == 1 {
            return Ok(texts.iter().map(String::len).collect());
        }
        let tokens = |text: &String| self.whole.tokenizer.encode_fast(text.as_str(), true).map(|tokens| tokens.len());
        texts.iter().map(tokens).collect::<Result<_, _>>().map_err(|e| failed(&e))
    }

    /// The copies of the model that run so many texts.
    fn lanes(&mut self, texts: usize) -> Result<&mut [TextEmbedding]> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let count = processors.min(MAX_LANES);
        self.texts += if texts >= count * TEXTS_OF_A_LANE { texts } else { 0 };
        // Once the lanes are there, they take small groups too: then several callers are at work, and
        // threads that wait for each other would only disturb them.
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
