//! Device choice, seeded randomness, differentiable ops on tensors and dual numbers, and the
//! traits by which models, losses and attacks meet without knowing each other.

pub mod files;
mod stream;

pub use stream::Stream;
