//! The kernel's own account of its clock: whether somebody keeps it right.
#![expect(
    unsafe_code,
    reason = "adjtimex(2) has no safe wrapper among our crates, and nothing in /proc or /sys says the same (decision 0041)"
)]

use std::ffi::{c_int, c_long, c_uint};

use crate::protocol::KernelClock;

/// `struct timex` of Linux on 64 bits, glibc and musl alike (include/uapi/linux/timex.h).
#[repr(C)]
#[derive(Default)]
struct Timex {
    modes: c_uint,
    offset: c_long,
    frequency: c_long,
    max_error: c_long,
    estimated_error: c_long,
    status: c_int,
    /// What follows is not read: constant, precision, tolerance, time, tick, frequencies, counters and room for more.
    rest: [c_long; 24],
}

/// The clock is not synchronised.
const STA_UNSYNC: c_int = 0x40;

unsafe extern "C" {
    fn adjtimex(buffer: *mut Timex) -> c_int;
}

/// Returns what the kernel says; nothing where a sandbox does not let it be asked. Changes nothing: no mode is set.
pub(super) fn kernel_clock() -> Option<KernelClock> {
    let mut told = Timex::default();
    // SAFETY: the buffer is as long as the kernel's struct at least, writable, and ours alone. Without modes it is a question.
    let state = unsafe { adjtimex(&raw mut told) };
    if state < 0 {
        return None;
    }
    Some(KernelClock {
        synchronised: told.status & STA_UNSYNC == 0,
        max_error_micros: told.max_error,
        estimated_error_micros: told.estimated_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_within_the_struct() {
        // struct timex has 208 bytes on 64 bits.
        assert!(size_of::<Timex>() >= 208);
        let told = kernel_clock().unwrap();
        // 16 s is where it gives up (NTP_PHASE_LIMIT).
        assert!((0..=16_000_000).contains(&told.max_error_micros), "{told:?}");
    }
}
