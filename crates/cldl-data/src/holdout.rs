//! The hold-out split of the test images: a tenth to tune on, the others to report on.
//!
//! Of 10,000 test images it is the published one: what `random.seed(0); random.sample(range(10000),
//! 10000)` gives in CPython, cut after the first 1,000. The generator is the Mersenne Twister MT19937,
//! seeded by an array of one word.

/// The positions among `n` test images of the tuning set (a tenth) and of the evaluation set, in the
/// published order.
pub fn holdout_split(n: usize) -> (Vec<usize>, Vec<usize>) {
    let mut tuning = sample_all(n, &mut MersenneTwister::new(&[0]));
    let evaluation = tuning.split_off(n / 10);
    (tuning, evaluation)
}

/// CPython's `random.sample(range(n), n)`: draws from a shrinking list, whose last item takes the
/// place of the one drawn.
fn sample_all(n: usize, twister: &mut MersenneTwister) -> Vec<usize> {
    let mut pool: Vec<usize> = (0..n).collect();
    (0..n).map(|drawn| pool.swap_remove(twister.below((n - drawn) as u32) as usize)).collect()
}

const N: usize = 624;
const M: usize = 397;

/// MT19937 (Matsumoto and Nishimura, 1998).
struct MersenneTwister {
    state: [u32; N],
    next: usize,
}

impl MersenneTwister {
    /// The authors' `init_by_array`; CPython seeds with the 32-bit words of the seed, lowest first.
    fn new(key: &[u32]) -> Self {
        let mut state = [0u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            state[i] = mixed(state[i - 1]).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        for j in 0..N.max(key.len()) {
            let j = j % key.len();
            state[i] = (state[i] ^ mixed(state[i - 1]).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            i = following(&mut state, i);
        }
        for _ in 1..N {
            state[i] =
                (state[i] ^ mixed(state[i - 1]).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i = following(&mut state, i);
        }
        state[0] = 1 << 31;
        Self { state, next: N }
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & (1 << 31)) | (self.state[(i + 1) % N] & !(1 << 31));
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// CPython's `_randbelow`: as many high bits as `bound` has, drawn again until they are below it.
    fn below(&mut self, bound: u32) -> u32 {
        let unused = bound.leading_zeros();
        loop {
            let draw = self.next_u32() >> unused;
            if draw < bound {
                return draw;
            }
        }
    }
}

fn mixed(word: u32) -> u32 {
    word ^ (word >> 30)
}

/// The place after `i` in the seeding loops, which run over 1..N and carry the last word around.
fn following(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_equals_its_authors_reference_output() {
        // First outputs of mt19937ar.c for init_by_array({0x123, 0x234, 0x345, 0x456}).
        let mut twister = MersenneTwister::new(&[0x123, 0x234, 0x345, 0x456]);
        let first: Vec<u32> = (0..5).map(|_| twister.next_u32()).collect();
        assert_eq!(first, [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]);
    }

    #[test]
    fn the_split_equals_cpython() {
        let (tuning, evaluation) = holdout_split(10_000);
        assert_eq!((tuning.len(), evaluation.len()), (1_000, 9_000));
        assert_eq!(tuning[..10], [6311, 6890, 663, 4242, 8376, 7961, 6634, 4969, 7808, 5866]);
        assert_eq!(evaluation[..5], [9080, 2671, 8105, 7879, 8946]);
        let digest = [&tuning[..], &evaluation[..]]
            .concat()
            .iter()
            .fold(0u64, |sum, index| sum.wrapping_mul(1_000_003).wrapping_add(*index as u64));
        assert_eq!(digest, 1_825_330_268_163_875_434);
        let mut all = [tuning, evaluation].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10_000).collect::<Vec<_>>());
    }
}
