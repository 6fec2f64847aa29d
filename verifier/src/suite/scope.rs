//! Whom a check judges, and what it has to do with what moves.

use serde::Serialize;

/// Whom a check judges: one result for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The cluster as a whole.
    Cluster,
    /// Each control-plane host.
    #[serde(rename = "cp")]
    ControlPlane,
    /// Each worker.
    Worker,
    /// Each worker, and each Node that the site file does not know, under its own name.
    #[serde(rename = "worker")]
    Node,
    /// Every host.
    Host,
}

/// What a check has to do with pods that come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Nothing.
    None,
    /// It reads what must stand still meanwhile.
    Still,
    /// It takes pods away.
    Moves,
}
