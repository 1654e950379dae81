//! Arithmetic on vectors of numbers.

/// Cosine similarity of two vectors of unit length.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // Several sums at once, which the processor can run side by side.
    let mut sums = [0.0_f32; 16];
    let (a, rest_of_a) = a.as_chunks::<16>();
    let (b, rest_of_b) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest_of_a.iter().zip(rest_of_b).map(|(x, y)| x * y).sum::<f32>()
}

/// Logits into probabilities.
pub(crate) fn softmax(logits: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for logit in &mut *logits {
        *logit = (*logit - highest).exp();
    }
    let total: f32 = logits.iter().sum();
    for logit in logits {
        *logit /= total;
    }
}
