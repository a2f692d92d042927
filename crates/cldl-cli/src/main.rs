//! `cldl`: robust ensembles for image classification.
fn main() {}
