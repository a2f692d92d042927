//! The objectives' terms as pure functions: Eqs. 6 to 12 of the paper.
