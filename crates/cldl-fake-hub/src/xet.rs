//! What Xet's local storage knows: which file has which Xet hash.

use std::path::Path;

use crate::repo::hex;

const HASH: usize = 32;
const RECORD: usize = 48;
/// A shard's file section begins behind its header.
const HEADER: usize = 48;
const WITH_VERIFICATION: u32 = 1 << 31;
const WITH_SHA256: u32 = 1 << 30;

/// SHA-256 and Xet hash of every file in the storage `folder`, from its shards.
pub(crate) fn hashes(folder: &Path) -> Vec<(String, String)> {
    let shards = folder.join("xet/xorbs/shards");
    let entries = std::fs::read_dir(shards).into_iter().flatten().flatten();
    let shards = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "mdb"));
    shards.filter_map(|entry| std::fs::read(entry.path()).ok()).flat_map(|s| parse(&s)).collect()
}

fn parse(shard: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut at = HEADER;
    let u32_at = |at: usize| {
        let bytes = shard.get(at..at + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    while let Some(hash) = shard.get(at..at + HASH) {
        if hash.iter().all(|byte| *byte == 0xff) {
            break;
        }
        let (Some(flags), Some(count)) = (u32_at(at + HASH), u32_at(at + HASH + 4)) else { break };
        let lists = if flags & WITH_VERIFICATION == 0 { 1 } else { 2 };
        let mut next = at + RECORD * (1 + lists * count as usize);
        if flags & WITH_SHA256 != 0 {
            if let Some(sha256) = shard.get(next..next + HASH) {
                found.push((words(sha256), words(hash)));
            }
            next += RECORD;
        }
        at = next;
    }
    found
}

/// A hash as Xet prints it: four little-endian numbers.
fn words(hash: &[u8]) -> String {
    let reversed = |word: &[u8]| hex(&word.iter().rev().copied().collect::<Vec<_>>());
    hash.chunks(8).map(reversed).collect()
}
