//! `api.webhooks`: whoever is asked at admission is there. A silent webhook stops every request that it is asked about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{Authority, Backend, Permission, WebhookFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ApiWebhooks>("api.webhooks", Scope::Cluster)
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
        Permission::across("get", "", "services"),
        Permission::across("list", "discovery.k8s.io", "endpointslices"),
    ])
    .confirmed();

struct ApiWebhooks;

#[derive(Serialize, Deserialize)]
struct Facts {
    webhooks: Vec<WebhookFacts>,
    /// The time by the API server's clock.
    now: Timestamp,
}

impl Probe for ApiWebhooks {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let (webhooks, now) = ctx.api()?.webhooks().await?;
        Ok(Facts { webhooks, now })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let found = facts.webhooks.iter().filter_map(|webhook| {
            let (cause, may_work) = wrong(webhook, facts.now)?;
            let finding = if webhook.fails && !may_work {
                Finding::fail(cause)
            } else {
                Finding::warn(cause)
            };
            Some(finding.of(format_args!(
                "{}/{}/{}",
                webhook.kind, webhook.configuration, webhook.name
            )))
        });
        Ok(found.collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        Evidence::lines(phrase::Webhooks, facts.webhooks.iter().map(line))
            .into_iter()
            .collect()
    }
}

fn policy(webhook: &WebhookFacts) -> &'static str {
    if webhook.fails { "Fail" } else { "Ignore" }
}

/// Returns what is wrong with a webhook, and whether it may work all the same.
fn wrong(webhook: &WebhookFacts, now: Timestamp) -> Option<(Cause, bool)> {
    if let Some(dead) = silent(webhook) {
        return Some((dead, false));
    }
    let cause = unverified(webhook, now)?;
    // A certificate for a Service's name is of no public authority; the API server's own roots may have it.
    Some((cause, webhook.authority == Authority::Absent))
}

/// Returns why nobody answers.
fn silent(webhook: &WebhookFacts) -> Option<Cause> {
    let (name, kind, configuration) = (&webhook.name, &webhook.kind, &webhook.configuration);
    let policy = &policy(webhook);
    let called = webhook.service.as_ref()?;
    let service = &format!("{}/{}", called.namespace, called.name);
    Some(match webhook.backend.as_ref()? {
        Backend::Missing => cause::WebhookServiceMissing {
            name,
            kind,
            configuration,
            policy,
            service,
        }
        .into(),
        Backend::OtherPorts(_) => cause::WebhookPortMissing {
            name,
            kind,
            configuration,
            policy,
            service,
            port: &called.port,
        }
        .into(),
        Backend::Ready(0) => cause::WebhookNoEndpoints {
            name,
            kind,
            configuration,
            policy,
            service,
        }
        .into(),
        Backend::Ready(_) | Backend::Outside => return None,
    })
}

/// Returns why its certificate cannot be right.
fn unverified(webhook: &WebhookFacts, now: Timestamp) -> Option<Cause> {
    let (name, kind, configuration) = (&webhook.name, &webhook.kind, &webhook.configuration);
    let policy = &policy(webhook);
    Some(match (&webhook.authority, &webhook.service) {
        (Authority::Unreadable { reason }, _) => cause::WebhookCaUnreadable {
            name,
            kind,
            configuration,
            policy,
            reason,
        }
        .into(),
        (Authority::Good { from, until }, _) if *until < now || *from > now => cause::WebhookCaExpired {
            name,
            kind,
            configuration,
            policy,
            from,
            until,
            now: &now,
        }
        .into(),
        (Authority::Absent, Some(called)) => cause::WebhookCaMissing {
            name,
            kind,
            configuration,
            policy,
            service: &format!("{}/{}", called.namespace, called.name),
        }
        .into(),
        (Authority::Good { .. } | Authority::Absent, _) => return None,
    })
}

fn line(webhook: &WebhookFacts) -> String {
    let service = webhook.service.as_ref();
    let called = service.map_or_else(
        || "url".to_owned(),
        |service| format!("{}/{}:{}", service.namespace, service.name, service.port),
    );
    let backend = match &webhook.backend {
        None | Some(Backend::Outside) => "-".to_owned(),
        Some(Backend::Missing) => "NotFound".to_owned(),
        Some(Backend::OtherPorts(ports)) => format!("ports {ports:?}"),
        Some(Backend::Ready(ready)) => format!("endpoints {ready}"),
    };
    let authority = match &webhook.authority {
        Authority::Absent => "caBundle -".to_owned(),
        Authority::Unreadable { reason } => format!("caBundle: {reason}"),
        Authority::Good { until, .. } => format!("caBundle notAfter {until}"),
    };
    let (kind, configuration, name) = (&webhook.kind, &webhook.configuration, &webhook.name);
    format!(
        "{kind} {configuration} {name} {} {called} {backend} {authority}",
        policy(webhook)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::ServicePort;
    use crate::findings::{CauseId, Outcome};

    fn webhook() -> WebhookFacts {
        WebhookFacts {
            kind: "ValidatingWebhookConfiguration".to_owned(),
            configuration: "policy".to_owned(),
            name: "validate.kyverno.svc".to_owned(),
            fails: true,
            service: Some(ServicePort {
                namespace: "kyverno".to_owned(),
                name: "kyverno-svc".to_owned(),
                port: 443,
            }),
            backend: Some(Backend::Ready(1)),
            authority: Authority::Good {
                from: "2026-01-01T00:00:00Z".parse().unwrap(),
                until: "2027-01-01T00:00:00Z".parse().unwrap(),
            },
        }
    }

    fn judge(change: impl FnOnce(&mut WebhookFacts)) -> (Outcome, Option<CauseId>) {
        let mut webhook = webhook();
        change(&mut webhook);
        let facts = Facts {
            webhooks: vec![webhook],
            now: "2026-11-30T00:00:00Z".parse().unwrap(),
        };
        judged::<ApiWebhooks>(&facts, &expect(&site(), ""))
    }

    #[test]
    fn a_webhook_that_is_served_passes_and_so_does_one_that_is_called_by_url() {
        assert_eq!(judge(|_| {}), (Outcome::Pass, None));
        let by_url = |webhook: &mut WebhookFacts| {
            webhook.service = None;
            webhook.backend = None;
            webhook.authority = Authority::Absent;
        };
        assert_eq!(judge(by_url), (Outcome::Pass, None));
        assert_eq!(
            judge(|webhook| webhook.backend = Some(Backend::Outside)),
            (Outcome::Pass, None)
        );
    }

    #[test]
    fn a_webhook_without_service_port_or_endpoint_fails_and_warns_where_it_may_be_ignored() {
        for (backend, id) in [
            (Backend::Missing, CauseId::WebhookServiceMissing),
            (Backend::OtherPorts(vec![9443]), CauseId::WebhookPortMissing),
            (Backend::Ready(0), CauseId::WebhookNoEndpoints),
        ] {
            let dead = backend.clone();
            assert_eq!(
                judge(|webhook| webhook.backend = Some(dead)),
                (Outcome::Fail, Some(id))
            );
            let ignored = |webhook: &mut WebhookFacts| {
                webhook.backend = Some(backend);
                webhook.fails = false;
            };
            assert_eq!(judge(ignored), (Outcome::Warn, Some(id)));
        }
    }

    #[test]
    fn an_authority_that_is_over_or_no_certificate_fails_and_none_at_all_warns() {
        let over = Authority::Good {
            from: "2025-01-01T00:00:00Z".parse().unwrap(),
            until: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        assert_eq!(
            judge(|webhook| webhook.authority = over),
            (Outcome::Fail, Some(CauseId::WebhookCaExpired))
        );
        let reason = "no certificate in PEM".to_owned();
        assert_eq!(
            judge(|webhook| webhook.authority = Authority::Unreadable { reason }),
            (Outcome::Fail, Some(CauseId::WebhookCaUnreadable))
        );
        assert_eq!(
            judge(|webhook| webhook.authority = Authority::Absent),
            (Outcome::Warn, Some(CauseId::WebhookCaMissing))
        );
    }
}
