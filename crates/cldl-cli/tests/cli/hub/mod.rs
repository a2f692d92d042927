//! Against a Hub on loopback: push, pull, and all that can go wrong between.
//!
//! `cargo test --release -p cldl-cli --test cli round_trip -- --nocapture` shows the round trip.

mod data;
mod failures;
mod sandbox;
mod transfers;
