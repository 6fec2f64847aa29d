//! `certs.called`: whom the API server calls over TLS shows what its caller believes: webhooks of admission, and the servers
//! behind APIServices.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::certs::{Age, Certificate, Chain, Days, Listed, Standing, Wanted, chain, date, read};
use crate::cluster::{CalleeFacts, Permission};
use crate::findings::{Evidence, Finding, Judged, Severity, Unjudged, cause, phrase};
use crate::protocol::{Der, TlsPeek};
use crate::site::Role;
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Called>("certs.called", Scope::Cluster)
    .permissions(&[
        Permission::across(
            "list",
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
        ),
        Permission::across(
            "list",
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
        ),
        Permission::across("list", "apiregistration.k8s.io", "apiservices"),
        Permission::across("get", "", "services"),
        Permission::across("list", "discovery.k8s.io", "endpointslices"),
    ])
    .listed::<Called>()
    .confirmed();

/// How long a handshake may take.
const WAIT: Duration = Duration::from_secs(5);

struct Called;

#[derive(Serialize, Deserialize)]
struct Facts {
    now: i64,
    days: Days,
    callees: Vec<Shown>,
    /// Whether this was gathered before: who has the API's answers may have no way to a Service.
    #[serde(default)]
    past: bool,
}

/// What somebody who is called shows.
#[derive(Serialize, Deserialize)]
struct Shown {
    callee: CalleeFacts,
    /// What each endpoint shows, or why nothing was seen.
    seen: Vec<(SocketAddr, Result<Vec<Der>, String>)>,
}

impl Probe for Called {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let callees = ctx.api()?.callees().await?;
        let looks = callees.into_iter().map(|callee| async move {
            let asks = callee.endpoints.iter().map(|to| look(ctx, &callee, *to));
            let seen = futures::future::join_all(asks).await;
            Shown { callee, seen }
        });
        Ok(Facts {
            now: ctx.now().as_second(),
            days: ctx.days,
            callees: futures::future::join_all(looks).await,
            past: ctx.is_past(),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        if facts.callees.is_empty() {
            return Err(Unjudged::skip(cause::NobodyCalled));
        }
        // That nobody is behind a Service api.webhooks and api.extensions say.
        let findings = facts.callees.iter().flat_map(|shown| {
            let of = move |(to, seen): &(SocketAddr, Result<Vec<Der>, String>)| {
                of_endpoint(facts, &shown.callee, *to, seen)
            };
            shown.seen.iter().filter_map(of)
        });
        let findings: Vec<Finding> = findings.collect();
        let unseen = |finding: &Finding| finding.severity == Severity::Error;
        if facts.past && !findings.is_empty() && findings.iter().all(unseen) {
            return Err(Unjudged::skip(cause::OnlyLive));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = facts.callees.iter().flat_map(|shown| {
            let subject = &shown.callee.subject;
            shown.seen.iter().map(move |(to, seen)| match seen {
                Ok(seen) => match seen.first().and_then(read) {
                    Some(leaf) => format!("{subject} {to}: {}  {}", date(leaf.not_after), leaf.subject),
                    None => format!("{subject} {to}: ?"),
                },
                Err(why) => format!("{subject} {why}"),
            })
        });
        Evidence::lines(phrase::CertificatesServed, lines)
            .into_iter()
            .collect()
    }
}

impl Lists for Called {
    fn list(facts: &Facts, _: &Expect<'_>) -> Vec<Listed> {
        let all = facts.callees.iter().flat_map(|shown| {
            shown.seen.iter().filter_map(move |(to, seen)| {
                let leaf = read(seen.as_ref().ok()?.first()?)?;
                let mut listed = Listed::of(&leaf, &to.to_string(), facts.now);
                listed.used_by = vec![cli::Shown::new(&shown.callee.subject)];
                let found = of_endpoint(facts, &shown.callee, *to, seen);
                listed.standing = match found.map(|finding| finding.severity) {
                    None => Standing::Good,
                    Some(Severity::Fail) => Standing::Fail,
                    Some(_) => Standing::Warn,
                };
                Some(listed)
            })
        });
        all.collect()
    }
}

/// Looks at an endpoint from a worker, as the Service is reached there; from the next one where that cannot.
async fn look(ctx: &Ctx, callee: &CalleeFacts, to: SocketAddr) -> (SocketAddr, Result<Vec<Der>, String>) {
    let mut hosts: Vec<_> = ctx.site.hosts.iter().collect();
    hosts.sort_by_key(|host| !host.roles.contains(&Role::Worker));
    let mut why = String::new();
    for host in hosts.into_iter().filter(|host| ctx.agent(&host.name).is_ok()) {
        let ask = TlsPeek {
            to,
            name: Some(callee.host_name()),
            timeout_millis: u64::try_from(WAIT.as_millis()).unwrap_or_default(),
        };
        match ctx.ask_within(&host.name, ask, WAIT * 2).await {
            Ok(reply) => return (to, Ok(reply.certificates)),
            Err(failure) => failure.message().unwrap_or_default().clone_into(&mut why),
        }
    }
    (to, Err(why))
}

fn of_endpoint(
    facts: &Facts,
    callee: &CalleeFacts,
    to: SocketAddr,
    seen: &Result<Vec<Der>, String>,
) -> Option<Finding> {
    let (called, to) = (&callee.subject, &to);
    let seen = match seen {
        Ok(seen) => seen,
        Err(reason) => return Some(Finding::error(cause::CalledUnseen { called, to, reason }).of(called)),
    };
    let all: Vec<Certificate> = seen.iter().filter_map(read).collect();
    let Some((leaf, beside)) = all.split_first() else {
        return Some(Finding::fail(cause::CalledBroken { called, to }).of(called));
    };
    let (subject, until) = (&leaf.subject, &date(leaf.not_after));
    let age = facts.days.age(leaf, facts.now, false);
    let ends = || cause::CalledEnds {
        called,
        to,
        subject,
        until,
    };
    let finding = if callee.unverified {
        // Whatever it shows is taken.
        None
    } else if matches!(age, Age::Over | Age::Early) {
        Some(Finding::fail(ends()))
    } else {
        distrusted(facts, callee, leaf, beside, to)
            .or_else(|| unnamed(callee, leaf, to))
            .or_else(|| match age {
                Age::Close => Some(Finding::fail(ends())),
                Age::Near => Some(Finding::warn(ends())),
                _ => None,
            })
    };
    finding.map(|finding| finding.of(called))
}

/// Returns that the caller does not believe who signed it, or no longer. Without a bundle the caller's own roots count, which
/// nobody sees.
fn distrusted(
    facts: &Facts,
    callee: &CalleeFacts,
    leaf: &Certificate,
    beside: &[Certificate],
    to: &SocketAddr,
) -> Option<Finding> {
    let trusted: Vec<Certificate> = callee.authorities.iter().filter_map(read).collect();
    if trusted.is_empty() {
        return None;
    }
    let called = &callee.subject;
    let believed = |is: fn(&Facts, &Certificate) -> bool| {
        let beside: Vec<&Certificate> = beside.iter().filter(|one| is(facts, one)).collect();
        let anchors: Vec<&Certificate> = trusted.iter().filter(|one| is(facts, one)).collect();
        let wanted = Wanted {
            server: true,
            client: false,
        };
        matches!(
            chain(leaf, &beside, &anchors, wanted),
            Chain::Whole | Chain::Unchecked
        )
    };
    if !believed(|_, _| true) {
        return Some(Finding::fail(cause::CalledDistrusted {
            called,
            to,
            subject: &leaf.subject,
            issuer: &leaf.issuer,
            bundle: &trusted[0].subject,
        }));
    }
    if believed(is_good) {
        return None;
    }
    let over = trusted.iter().chain(beside).find(|one| !is_good(facts, one))?;
    Some(Finding::fail(cause::CalledCaEnded {
        called,
        to,
        subject: &over.subject,
        until: &date(over.not_after),
    }))
}

fn is_good(facts: &Facts, certificate: &Certificate) -> bool {
    let age = facts.days.age(certificate, facts.now, false);
    !matches!(age, Age::Over | Age::Early)
}

/// Returns that it is of another name than the one by which it is called.
fn unnamed(callee: &CalleeFacts, leaf: &Certificate, to: &SocketAddr) -> Option<Finding> {
    let name = callee.host_name();
    if leaf.serves(&name) {
        return None;
    }
    Some(Finding::fail(cause::CalledOtherName {
        called: &callee.subject,
        to,
        name: &name,
        names: &leaf.names().join(", "),
    }))
}
