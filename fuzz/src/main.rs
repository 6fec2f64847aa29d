//! One program for all targets: `FUZZ_TARGET` says which. The targets themselves, and what must hold behind each, lie
//! beside the parsers (`fuzzing.rs` of each crate), so that unit tests send the seeds through them as well.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let mut all = bundle::fuzzing::TARGETS
        .into_iter()
        .chain(bundler::fuzzing::TARGETS)
        .chain(signatures::fuzzing::TARGETS)
        .chain(verifier::fuzzing::TARGETS);
    let found = all.find(|(name, _)| *name == wanted);
    found
        .unwrap_or_else(|| panic!("FUZZ_TARGET={wanted} is no target"))
        .1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
