//! The thread that owns the model.
//!
//! The model is blocking and wants `&mut`, so one thread owns it. The thread takes all waiting jobs
//! together, sorts their texts by length and runs them in batches. Texts of similar length need
//! little padding, and padding is waste.
//!
//! A few texts run on all processors together, which is the quickest for one. Many run in
//! lanes, each a copy of the model on its share of the processors: side by side they embed
//! 1.2 times as many texts in a second, with 8-bit weights 1.4 times, as nobody waits for
//! another within a pass.
//!
//! A panic of the model fails the texts that it was given, and no others: the thread goes on with a
//! model that is loaded anew.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

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

/// What the worker runs.
pub(super) trait Model: Send {
    /// One vector for each text.
    fn embed(&mut self, texts: &[&str]) -> Vectors;

    /// How many tokens a text has.
    fn tokens(&self, text: &str) -> Result<usize>;
}

/// Loads a copy of the model for so many threads; unless given, one for each processor.
pub(super) type Load = Box<dyn Fn(Option<usize>) -> Result<Box<dyn Model>> + Send>;

pub(super) type Vectors = Result<Vec<Vec<f32>>>;

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
    pub(super) fn start(model: Box<dyn Model>, load: Load, batch_size: usize) -> Result<Self> {
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
    /// Runs on all processors.
    whole: Box<dyn Model>,
    /// Run side by side.
    lanes: Vec<Box<dyn Model>>,
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
        let panicked = AtomicBool::new(false);
        if let Err(e) = guarded(&panicked, || self.run_batches(&texts, &panicked, &done)) {
            (0..texts.len()).for_each(|position| pending(position).0.answer(Err(e.clone())));
        }
        if panicked.into_inner() {
            self.load_anew();
        }
    }

    /// Nobody knows what a panic left behind.
    fn load_anew(&mut self) {
        self.lanes.clear();
        match guarded(&AtomicBool::new(false), || (self.load)(None)) {
            Ok(model) => self.whole = model,
            // The old one may still work; whoever asks it next learns whether it does.
            Err(e) => tracing::warn!("the embedding model panicked and cannot be loaded anew: {e}"),
        }
    }

    /// Tells of every batch the positions of its texts and their vectors, from any lane.
    fn run_batches(
        &mut self,
        texts: &[String],
        panicked: &AtomicBool,
        done: &(impl Fn(&[usize], Vectors) + Sync),
    ) -> Result<()> {
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
        let work = |model: &mut Box<dyn Model>| {
            while let Some(batch) = next() {
                let batch_texts: Vec<&str> = batch.iter().map(|&position| texts[position].as_str()).collect();
                done(batch, guarded(panicked, || model.embed(&batch_texts)));
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
        texts.iter().map(|text| self.whole.tokens(text)).collect()
    }

    /// What runs so many texts.
    fn lanes(&mut self, texts: usize) -> Result<&mut [Box<dyn Model>]> {
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

/// Makes an error of a panic, and notes it.
fn guarded<T>(panicked: &AtomicBool, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the work changes is thrown away after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        panicked.store(true, Ordering::Relaxed);
        Err(Error::embedder(
            "the embedding model panicked while it had this text; the message before this one says why",
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts letters, and panics at a word.
    struct Touchy;

    impl Model for Touchy {
        fn embed(&mut self, texts: &[&str]) -> Vectors {
            assert!(!texts.contains(&"panic"), "a word that it cannot bear");
            #[expect(clippy::cast_precision_loss, reason = "these are small")]
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }

        fn tokens(&self, text: &str) -> Result<usize> {
            assert_ne!(text, "panic in the tokenizer");
            Ok(text.len())
        }
    }

    fn worker(batch_size: usize) -> (Worker, Arc<AtomicUsize>) {
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        let load: Load = Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Touchy))
        });
        (Worker::start(Box::new(Touchy), load, batch_size).unwrap(), loads)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_texts_and_the_thread_goes_on_with_a_new_model() {
        let (worker, loads) = worker(2);
        for words in [&["panic"][..], &["panic in the tokenizer", "good"]] {
            let failed = worker.embed(texts(words)).await.unwrap_err();
            assert_eq!(failed.kind(), crate::ErrorKind::Embedder);
        }
        assert_eq!(worker.embed(texts(&["abc", "ab"])).await.unwrap(), [[3.0], [2.0]]);
        assert_eq!(loads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_panic_in_a_lane_does_not_end_the_thread_either() {
        let (worker, _) = worker(1);
        let mut many = vec!["abc".to_owned(); TEXTS_BEFORE_LANES];
        assert_eq!(worker.embed(many.clone()).await.unwrap().len(), many.len());
        many[7] = "panic".into();
        assert!(worker.embed(many).await.is_err());
        assert_eq!(worker.embed(texts(&["abc"])).await.unwrap(), [[3.0]]);
    }
}
