//! Feeds the target that `CLDL_TARGET` names with what libFuzzer makes up.
#![no_main]

use std::sync::LazyLock;

use cldl_tests::hostile::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = std::env::var("CLDL_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, target)| *target).expect("CLDL_TARGET names a target of tests/hostile.rs")
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
