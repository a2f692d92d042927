//! A table of the paper beside ours: asked for by a [`Request`], filled from numbers, shown in five forms.
//!
//! The numbers come from whoever answers the [`Question`]s (the outcome store, under a protocol); nothing
//! here computes an accuracy.

mod agreement;
mod asked;
mod csv;
mod data;
mod drawn;
mod entries;
mod facts;
mod json;
mod latex;
mod markdown;
mod request;
mod shape;
mod sources;
mod text;
mod verify;
mod write;

#[cfg(test)]
mod fixture;

pub use agreement::{Agreement, agreement, kendall_tau};
pub use csv::csv;
pub use data::{Cell, Question, Row, Table};
pub use facts::{facts, findings};
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
pub use request::{Column, PaperRow, Request};
pub use shape::{Check, Count, checks};
pub use sources::Sources;
pub use text::text;
pub use verify::verify_table;
use write::forms;
pub use write::write_table;
