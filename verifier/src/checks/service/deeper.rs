//! How the checks of the Service look deeper: at the node and at the pods behind it, and only where something failed.

use super::service_trace::{self, ServiceTrace};
use crate::cluster::ServiceFacts;
use crate::findings::{Cause, Evidence, Finding, Severity};
use crate::suite::{Ctx, Expect, Member};

/// What a deeper look showed; absent where none was taken.
pub(super) type Depth = Option<ServiceTrace>;

/// Looks where something failed: what could not be told or asked lies elsewhere.
pub(super) async fn look(ctx: &Ctx, member: &Member, service: &ServiceFacts, found: &[Finding]) -> Depth {
    if !found.iter().any(|finding| finding.severity == Severity::Fail) {
        return None;
    }
    service_trace::look(ctx, member, service).await
}

/// Returns what was found with its reason first.
pub(super) fn explained(findings: Vec<Finding>, why: Option<Cause>) -> Vec<Finding> {
    why.map(Finding::fail).into_iter().chain(findings).collect()
}

/// Returns what a person can look at.
pub(super) fn evidence(depth: &Depth, expect: &Expect<'_>) -> Vec<Evidence> {
    depth.iter().flat_map(|trace| trace.evidence(expect)).collect()
}
