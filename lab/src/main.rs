//! The `lab` program.

mod cmd;

fn main() -> std::process::ExitCode {
    cli::prepare();
    match cmd::Command::parse_arguments() {
        Ok(command) => cli::finish("lab", command.run()),
        Err(code) => code,
    }
}
