//! The thread that owns the model.
//!
//! The model is blocking and wants `&mut`, so one thread has it. It takes all jobs that are
//! waiting together, sorts their texts by length and runs them in batches: padding is waste,
//! and texts of similar length need little.

use std::sync::mpsc;
use std::thread;

use fastembed::TextEmbedding;
use tokio::sync::oneshot;

use crate::{Error, Result};

/// Texts per forward pass; measured best on two cores among 8, 16, 32 and 64.
pub(super) const BATCH_SIZE: usize = 16;

/// How many texts of waiting jobs are gathered at most.
const GATHERED_TEXTS: usize = 256;

type Vectors = Result<Vec<Vec<f32>>>;

struct Job {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    pub(super) fn start(model: TextEmbedding, batch_size: usize) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        thread::Builder::new()
            .name("embedder".into())
            .spawn(move || serve(model, batch_size, &waiting))
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

/// Answers jobs until the last sender is gone.
fn serve(mut model: TextEmbedding, batch_size: usize, waiting: &mpsc::Receiver<Job>) {
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
        match run(&mut model, batch_size, &texts) {
            Ok(mut vectors) => {
                for job in jobs {
                    let rest = vectors.split_off(job.texts.len());
                    // A caller that has gone away needs no answer.
                    let _ = job.reply.send(Ok(std::mem::replace(&mut vectors, rest)));
                }
            }
            Err(message) => {
                for job in jobs {
                    let _ = job.reply.send(Err(Error::embedder(&*message)));
                }
            }
        }
    }
}

/// Embeds in batches of similar length; the vectors come back in the order of the texts.
fn run(model: &mut TextEmbedding, batch_size: usize, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&position| texts[position].len());
    let mut vectors = vec![Vec::new(); texts.len()];
    for batch in order.chunks(batch_size) {
        let batch_texts: Vec<&str> = batch.iter().map(|&position| texts[position]).collect();
        let embedded =
            model.embed(batch_texts, Some(batch_size)).map_err(|e| format!("the embedding model failed: {e}"))?;
        for (&position, vector) in batch.iter().zip(embedded) {
            vectors[position] = vector;
        }
    }
    Ok(vectors)
}
