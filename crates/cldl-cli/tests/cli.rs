//! The real binary, run as a user would: results, interruptions, bad input.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps, its helpers too")]

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/browser.rs"]
mod browser;
#[path = "cli/checkpoints.rs"]
mod checkpoints;
#[path = "cli/chromium.rs"]
mod chromium;
#[path = "cli/custom.rs"]
mod custom;
#[path = "cli/determinism.rs"]
mod determinism;
#[path = "cli/evaluations.rs"]
mod evaluations;
#[cfg(feature = "hub")]
#[path = "cli/hub/mod.rs"]
mod hub;
#[path = "cli/methods.rs"]
mod methods;
#[path = "cli/pipeline.rs"]
mod pipeline;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/status.rs"]
mod status;
