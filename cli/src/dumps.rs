//! The process's memory holds passwords and keys: no core dump and no other process of the same user gets it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps the memory from core dumps, those that the kernel pipes into a program among them, and from other processes but
/// root's. What the program starts writes no core files either.
pub(crate) fn keep_out() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A kernel that does not know these keeps no one out, and is none to stop for.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
