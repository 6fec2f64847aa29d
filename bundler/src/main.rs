//! The `bundler` program.

fn main() {}
