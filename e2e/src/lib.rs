//! Tests on the lab: the whole way, planted faults, hostile archives.
