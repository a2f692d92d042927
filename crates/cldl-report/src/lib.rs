//! What a training or a table shows: analyses, pictures, and a report of one HTML file.
//!
//! - [`Study`]: the tables and trained ensembles to look at, from paths.
//! - [`Kind`], [`Section`]: one view of them each, with [`Picture`]s, [`Grid`]s and notes.
//! - [`page`]: the report, one file that needs no network.
//! - [`analysis`]: what the views compute, for use by itself.
//! - [`Probe`]: a quick look at an ensemble in training.
//! - [`write_events`]: a run's metrics for TensorBoard.

#![allow(clippy::cast_possible_wrap, reason = "positions in a picture are small numbers")]

pub mod analysis;
mod error;
mod page;
mod picture;
mod probe;
mod section;
mod study;
mod tensorboard;

pub use error::ReportError;
pub use page::page;
pub use picture::Picture;
pub use probe::{Look, Probe};
pub use section::{Grid, GridCell, Kind, Section, all_sections, section};
pub use study::{Settings, Study, Trained};
pub use tensorboard::write_events;
