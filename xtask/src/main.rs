//! The two commands that README names, and what CI and benchmarks need.

mod arrows;
mod bench;
mod command;
mod demo;
mod dist;
mod failures;
mod fuzz;
mod new_check;
mod packages;
mod step;
mod supply;
mod test;

fn main() -> std::process::ExitCode {
    command::main(std::env::args_os())
}
