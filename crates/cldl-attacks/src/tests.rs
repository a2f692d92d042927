//! Tests of the attacks as a whole.

mod known_answers;
mod properties;
