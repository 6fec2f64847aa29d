//! Runs and loads that end before their time, or lose what they need in the middle.

mod cut;
mod killed;
