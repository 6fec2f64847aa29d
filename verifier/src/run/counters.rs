//! What went wrong in the kernels of the hosts while the checks ran: their counters before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;

use crate::findings::{Finding, cause};
use crate::protocol::{ErrorCounters, ErrorCountersReply};
use crate::suite::Ctx;

/// Fewer segments than this are sent again on any network, and where processors are busy.
const AGAIN: u64 = 30;
/// Of so many segments that were sent one may be sent again.
const ONE_OF: u64 = 30;
/// How long an agent may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Hosts that are asked at once.
const AT_ONCE: usize = 64;

/// The counters of each host that answered, by its name.
pub(super) struct Counted(BTreeMap<String, ErrorCountersReply>);

impl Counted {
    /// Asks all hosts, and waits for none of them long. One that does not answer counts nothing: other rows say why.
    pub(super) async fn take(ctx: &Ctx) -> Self {
        let asked = ctx.site.hosts.iter().map(|host| async move {
            let counted = ctx.ask_within(&host.name, ErrorCounters {}, ANSWER).await.ok()?;
            Some((host.name.clone(), counted))
        });
        let counted = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        Self(counted.filter_map(std::future::ready).collect().await)
    }

    /// Returns what grew from these counters to the later ones, by host. A counter that became smaller belongs to another
    /// life of its host.
    pub(super) fn grown(&self, later: &Self) -> Vec<(String, Vec<Finding>)> {
        let hosts = self.0.iter().filter_map(|(host, before)| {
            let findings = between(host, before, later.0.get(host)?);
            (!findings.is_empty()).then(|| (host.clone(), findings))
        });
        hosts.collect()
    }
}

#[rustfmt::skip]
fn between(host: &str, before: &ErrorCountersReply, after: &ErrorCountersReply) -> Vec<Finding> {
    let grew = |of: fn(&ErrorCountersReply) -> u64| of(after).saturating_sub(of(before));
    let interfaces = after.interfaces.iter().filter_map(|(interface, now)| {
        let then = before.interfaces.get(interface)?;
        let received = now.received.saturating_sub(then.received);
        let sent = now.sent.saturating_sub(then.sent);
        (received + sent > 0).then(|| {
            Finding::warn(cause::InterfaceErrors {
                host: &host,
                interface,
                received: &received,
                sent: &sent,
            })
        })
    });
    let mut findings: Vec<Finding> = interfaces.collect();
    let (sent, again) = (grew(|all| all.tcp_sent), grew(|all| all.tcp_again));
    if again >= AGAIN && again * ONE_OF > sent {
        findings.push(Finding::warn(cause::SegmentsSentAgain {
            host: &host,
            again: &again,
            sent: &sent,
        }));
    }
    let of = |counter: fn(&ErrorCountersReply) -> u64, finding: &dyn Fn(&u64) -> Finding| {
        Some(grew(counter)).filter(|count| *count > 0).map(|count| finding(&count))
    };
    let host = &host;
    let others = [
        of(|all| all.checksums, &|packets| Finding::warn(cause::ChecksumsWrong { host, packets })),
        of(|all| all.refused, &|connections| Finding::warn(cause::ConnectionsRefused { host, connections })),
        of(|all| all.untracked, &|packets| Finding::warn(cause::ConnectionsUntracked { host, packets })),
        of(|all| all.out_of_memory, &|processes| Finding::warn(cause::MemoryShort { host, processes })),
        of(|all| all.file_systems, &|errors| Finding::fail(cause::FileSystemErrors { host, errors })),
    ];
    findings.extend(others.into_iter().flatten());
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{CauseId, Severity};
    use crate::protocol::InterfaceErrors;

    fn found(before: &ErrorCountersReply, after: &ErrorCountersReply) -> Vec<(CauseId, Severity)> {
        let of =
            |counted: &ErrorCountersReply| Counted(BTreeMap::from([("node-0".to_owned(), counted.clone())]));
        let grown = of(before).grown(&of(after));
        let findings = grown.into_iter().flat_map(|(_, findings)| findings);
        findings
            .map(|finding| (finding.cause.id(), finding.severity))
            .collect()
    }

    #[test]
    fn what_stood_before_the_run_is_no_finding_and_what_grew_is() {
        let interface =
            |received| BTreeMap::from([("eth1".to_owned(), InterfaceErrors { received, sent: 0 })]);
        let before = ErrorCountersReply {
            interfaces: interface(7),
            checksums: 3,
            refused: 1,
            untracked: 9,
            out_of_memory: 2,
            file_systems: 1,
            ..ErrorCountersReply::default()
        };
        assert!(found(&before, &before).is_empty());
        let after = ErrorCountersReply {
            interfaces: interface(8),
            checksums: 4,
            refused: 2,
            untracked: 10,
            out_of_memory: 3,
            file_systems: 2,
            ..before.clone()
        };
        let warn = |id| (id, Severity::Warn);
        assert_eq!(
            found(&before, &after),
            [
                warn(CauseId::InterfaceErrors),
                warn(CauseId::ChecksumsWrong),
                warn(CauseId::ConnectionsRefused),
                warn(CauseId::ConnectionsUntracked),
                warn(CauseId::MemoryShort),
                (CauseId::FileSystemErrors, Severity::Fail),
            ]
        );
        // A host that was started again in between has counted less.
        assert!(found(&after, &before).is_empty());
    }

    #[test]
    fn a_few_segments_are_sent_again_on_any_network() {
        let counted = |tcp_sent, tcp_again| ErrorCountersReply {
            tcp_sent,
            tcp_again,
            ..ErrorCountersReply::default()
        };
        let nothing = counted(0, 0);
        assert!(found(&nothing, &counted(100, 29)).is_empty());
        assert!(found(&nothing, &counted(10_000, 200)).is_empty());
        assert_eq!(
            found(&nothing, &counted(1_000, 34))[0].0,
            CauseId::SegmentsSentAgain
        );
    }
}
