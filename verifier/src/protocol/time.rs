//! Whether something keeps a host's clock right.

use serde::{Deserialize, Serialize};

/// Asks the kernel, and the time services on this host that answer questions. Nothing outside the host is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeSource {}

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSourceReply {
    /// The kernel's own account; absent where it may not be asked.
    pub kernel: Option<KernelClock>,
    /// What time services answered on this host's own address.
    pub services: Vec<TimeService>,
}

/// The kernel's account of its clock (adjtimex(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelClock {
    /// Whether a time service said lately that the clock is right (no `STA_UNSYNC`).
    pub synchronised: bool,
    /// How far it may be off by the kernel's reckoning, in microseconds. It grows by itself until somebody sets it back.
    pub max_error_micros: i64,
    /// How far it probably is, in microseconds.
    pub estimated_error_micros: i64,
}

/// What a time service says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeService {
    /// How it was asked.
    pub asked: TimeProtocol,
    /// Whether it has a source that it follows (a leap indicator other than 3).
    pub synchronised: bool,
    /// How far that is from a reference clock, in hops; 0 and 16 stand for none.
    pub stratum: u16,
}

/// How a time service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeProtocol {
    /// chrony's own questions, as `chronyc tracking` asks them (candm.h, version 6).
    Chrony,
    /// NTP (RFC 5905).
    Ntp,
}

impl TimeProtocol {
    /// Returns the word of evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chrony => "chrony",
            Self::Ntp => "ntp",
        }
    }
}
