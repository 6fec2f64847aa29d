//! Keeps a static glibc program from loading name-service modules that it cannot load.
//!
//! A static program crashes in `getaddrinfo` where nsswitch.conf names a module that is not built in (`resolve`,
//! `myhostname`, `sss`), and most distributions name one. Measured on Debian 12, 13 and testing.
#![expect(
    unsafe_code,
    reason = "glibc's __nss_configure_lookup has no safe wrapper; called once, before any thread"
)]

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Pins every database to `files`, hosts to `files dns`. Must run before any thread and any look-up.
pub(crate) fn pin() {
    const DATABASES: [(&CStr, &CStr); 6] = [
        (c"hosts", c"files dns"),
        (c"passwd", c"files"),
        (c"group", c"files"),
        (c"services", c"files"),
        (c"protocols", c"files"),
        (c"networks", c"files"),
    ];
    for (database, services) in DATABASES {
        // SAFETY: both are NUL-terminated strings of static life, and no other thread runs yet.
        unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    }
}
