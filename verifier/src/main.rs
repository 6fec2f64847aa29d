//! The `verifier` program.

fn main() {}
