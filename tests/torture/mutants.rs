//! Mutants of good and bad files, by the thousand: a fuzzer for every machine, without coverage. The one with
//! coverage is `cargo xtask torture --only fuzz`.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::Instant;

use cldl_tests::hostile::TARGETS;
use serde_json::json;

use crate::random::Random;
use crate::record;

/// Values at the edges of what headers hold.
const EDGES: [&[u8]; 6] =
    [&[0; 8], &[255; 8], &[0, 0, 0, 128], &[255, 255, 255, 127], b"nan", b"-1e999"];

#[test]
fn no_mutant_breaks_a_reader() {
    let each: usize = if record::thorough() { 1_000_000 } else { 3_000 };
    let mut rows = Vec::new();
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions").join(name);
        let mut paths: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths
            .iter()
            .map(|path| fs::read(path).unwrap())
            // Mutants of a few long ones would take all the time.
            .filter(|bytes| bytes.len() < 8000)
            .collect();
        let mut random = Random::new(name);
        let begin = Instant::now();
        for number in 0..each {
            let bytes = mutant(&seeds, &mut random);
            assert!(
                catch_unwind(|| target(&bytes)).is_ok(),
                "`{name}` panics at mutant {number}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
        let seconds = begin.elapsed().as_secs_f64();
        rows.push(json!({"target": name, "executions": each, "seconds": seconds, "crashes": 0}));
    }
    record::keep("mutants", &json!(rows));
}

fn mutant(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let upto = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from..upto].iter().copied());
            }
            4 => {
                let upto = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..upto);
            }
            _ => {
                let edge = EDGES[random.below(EDGES.len())];
                let upto = (at + edge.len()).min(bytes.len());
                bytes.splice(at..upto, edge.iter().copied());
            }
        }
    }
    bytes
}
