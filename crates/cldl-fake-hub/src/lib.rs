//! A Hugging Face Hub on loopback, for tests: no network, no account, no framework.
//!
//! It keeps repositories in memory, as lists of commits, and answers the requests that hf-hub makes. [`FakeHub::requests`]
//! tells what was asked; [`Trouble`] makes it fail as the real one may. Large files go either way that the Hub has:
//! inline, or through Xet, whose storage is then a folder (`local://`).

mod http;
mod repo;
mod serve;
mod xet;

pub use repo::{Repo, Revision};
pub use serve::{FakeHub, Trouble};
