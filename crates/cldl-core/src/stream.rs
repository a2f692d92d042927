//! Named streams of random numbers, the only source of randomness in the project.
//!
//! A stream is a ChaCha8 generator whose key is the SHA-256 of (seed, purpose, indices). Streams
//! with different names are independent, so a draw depends on what it is for (which epoch, which
//! example) and never on batch size, thread count or the order in which work is done.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// A deterministic stream of random numbers, named by a seed, a purpose and indices.
///
/// # Example
/// ```
/// use cldl_core::Stream;
/// let draw = || Stream::new(7, "shuffle", &[3]).uniform();
/// assert_eq!(draw(), draw());
/// assert_ne!(draw(), Stream::new(7, "shuffle", &[4]).uniform());
/// ```
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream named (`seed`, `purpose`, `indices`), at its start.
    pub fn new(seed: u64, purpose: &str, indices: &[u64]) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        // The length keeps ("a", [..]) apart from any purpose that continues with an index's bytes.
        hash.update((purpose.len() as u64).to_le_bytes());
        hash.update(purpose.as_bytes());
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// A number in [0, 1) with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        const STEP: f32 = 1.0 / (1 << 24) as f32;
        (self.0.next_u32() >> 8) as f32 * STEP
    }

    /// A standard normal number (Box and Muller's method, computed in f64).
    pub fn normal(&mut self) -> f32 {
        const STEP: f64 = 1.0 / (1u64 << 32) as f64;
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - f64::from(self.0.next_u32()) * STEP).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(self.0.next_u32()) * STEP;
        (radius * angle.cos()) as f32
    }

    /// A whole number in [0, `bound`), every one equally likely.
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "`bound` is 0: no number lies below it");
        // Numbers from `limit` up would favor the small remainders (limit is a multiple of bound).
        let limit = u32::MAX - u32::MAX % bound;
        loop {
            let draw = self.0.next_u32();
            if draw < limit {
                return draw % bound;
            }
        }
    }

    /// Puts `items` in a random order (Fisher and Yates' method).
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        assert!(u32::try_from(items.len()).is_ok(), "too many items to shuffle");
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn names_that_differ_in_any_part_give_other_draws() {
        let draw = |seed, purpose: &str, indices: &[u64]| {
            let mut stream = Stream::new(seed, purpose, indices);
            (0..4).map(|_| stream.uniform()).collect::<Vec<_>>()
        };
        let reference = draw(1, "noise", &[2, 3]);
        assert_eq!(reference, draw(1, "noise", &[2, 3]));
        for other in [
            draw(2, "noise", &[2, 3]),
            draw(1, "shuffle", &[2, 3]),
            draw(1, "noise", &[3, 2]),
            draw(1, "noise", &[2]),
        ] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn moments_of_the_draws() {
        let mut stream = Stream::new(0, "moments", &[]);
        let n = 200_000;
        let (mut mean, mut square, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = f64::from(stream.normal());
            mean += z / f64::from(n);
            square += z * z / f64::from(n);
            uniform += f64::from(stream.uniform()) / f64::from(n);
        }
        assert!(mean.abs() < 0.01 && (square - 1.0).abs() < 0.01 && (uniform - 0.5).abs() < 0.003);
    }

    #[test]
    fn shuffle_is_a_permutation_and_below_reaches_every_number() {
        let mut stream = Stream::new(0, "permutation", &[]);
        let mut items: Vec<u32> = (0..100).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        let seen: std::collections::BTreeSet<u32> = (0..200).map(|_| stream.below(7)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    }
}
