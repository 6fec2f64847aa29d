//! The two commands that README names, and what CI and benchmarks need.

fn main() {}
