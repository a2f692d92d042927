//! Helpers of the tests that cross crates.

pub mod hostile;

#[cfg(test)]
#[path = "../xtask/src/workspace.rs"]
#[allow(dead_code, unreachable_pub, reason = "what the grid's own tests name, which come with it")]
mod workspace;
