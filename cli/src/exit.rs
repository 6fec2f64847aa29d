//! Exit codes, an interface: scripts rest on them.

/// All is well; warnings too, unless `--strict`.
pub const PASS: u8 = 0;
/// A check failed: the thing under test is wrong.
pub const FAIL: u8 = 1;
/// We could not look or do: a registry, a disk, a file, a host, a permission.
pub const ERROR: u8 = 2;
/// The bundle's contents are bad.
pub const BAD_BUNDLE: u8 = 3;
/// Wrong usage, spec or site file, or a glob that matches nothing (EX_USAGE of sysexits.h).
pub const USAGE: u8 = 64;
/// Interrupted (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
