//! Nothing is lost: the real binary is killed, starved of disk and fed with broken files, and must end with
//! the same bytes or with one clear line.
//!
//! `cargo test --release -p cldl-tests --test torture` does a little of everything; `cargo xtask torture` sets
//! `CLDL_TORTURE` to the number of kills, `CLDL_TORTURE_OUT` to a folder for what was found, and makes
//! `docs/reliability.md` of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]
#![allow(clippy::needless_pass_by_value, reason = "all ways to spoil a file have one signature")]

mod binary;
mod faults;
mod fooled;
mod input;
mod kills;
mod load;
mod mutants;
mod pinned;
mod random;
mod record;
mod sandbox;
mod shim;
