//! `bundler` as its user sees it, against real registries and with the programs that read what it writes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod archives;
mod broken;
mod errors;
mod hostile;
mod images;
mod lock;
mod one_pass;
mod outputs;
mod proxy;
mod readers;
mod registries;
mod right;
mod sandbox;
mod secrets;
mod server;
mod shared;
mod signed;
mod slow;
mod spec;
mod store;
mod terminal;
mod tokens;
