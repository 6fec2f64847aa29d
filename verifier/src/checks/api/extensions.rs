//! `api.extensions`: what extends the API is served. A dead `APIService` stops the removal of every namespace.

use serde::{Deserialize, Serialize};

use crate::cluster::{ExtensionFacts, ExtensionTrouble, Permission};
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ApiExtensions>("api.extensions", Scope::Cluster)
    .permissions(&[
        Permission::across("list", "apiregistration.k8s.io", "apiservices"),
        Permission::across("list", "apiextensions.k8s.io", "customresourcedefinitions"),
    ])
    .confirmed();

/// What is younger may still be on its way, in seconds.
const YOUNG: u64 = 30;

struct ApiExtensions;

#[derive(Serialize, Deserialize)]
struct Facts {
    extensions: ExtensionFacts,
}

impl Probe for ApiExtensions {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let extensions = ctx.api()?.extensions().await?;
        Ok(Facts { extensions })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let old = |trouble: &&ExtensionTrouble| trouble.age_seconds >= YOUNG;
        let services = facts.extensions.services.iter().filter(old).map(service);
        let definitions = facts.extensions.definitions.iter().filter(old).map(definition);
        Ok(services.chain(definitions).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let extensions = &facts.extensions;
        let [services, definitions] = &extensions.looked_at;
        let looked_at = phrase::ExtensionsLookedAt {
            services,
            definitions,
            more: &extensions.more,
        };
        let troubles = extensions.services.iter().chain(&extensions.definitions);
        let lines = troubles.map(|trouble| Line::from(line(trouble)));
        let lines = [Line::said(looked_at)].into_iter().chain(lines);
        Evidence::lines(phrase::Extensions, lines).into_iter().collect()
    }
}

fn service(trouble: &ExtensionTrouble) -> Finding {
    let (apiservice, reason, message) = (
        &trouble.name,
        &trouble.condition.reason,
        &trouble.condition.message,
    );
    let finding = match &trouble.service {
        Some(service) => Finding::fail(cause::ApiserviceDead {
            apiservice,
            service,
            reason,
            message,
        }),
        None => Finding::fail(cause::ApiserviceUnavailable {
            apiservice,
            reason,
            message,
        }),
    };
    finding.of(apiservice)
}

fn definition(trouble: &ExtensionTrouble) -> Finding {
    let condition = &trouble.condition;
    let broken = cause::CrdBroken {
        crd: &trouble.name,
        condition: &condition.r#type,
        reason: &condition.reason,
        message: &condition.message,
    };
    Finding::fail(broken).of(&trouble.name)
}

fn line(trouble: &ExtensionTrouble) -> String {
    let condition = &trouble.condition;
    let status = if condition.status.is_empty() {
        "-"
    } else {
        &condition.status
    };
    let service = trouble.service.as_deref().unwrap_or("-");
    format!(
        "{} {service} {}={status} {}: {}",
        trouble.name, condition.r#type, condition.reason, condition.message
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::ConditionFacts;
    use crate::findings::{CauseId, Outcome};

    fn trouble(name: &str, condition: &str, service: Option<&str>) -> ExtensionTrouble {
        ExtensionTrouble {
            name: name.to_owned(),
            service: service.map(str::to_owned),
            condition: ConditionFacts {
                r#type: condition.to_owned(),
                status: "False".to_owned(),
                reason: "MissingEndpoints".to_owned(),
                message: "no addresses".to_owned(),
            },
            age_seconds: 60,
        }
    }

    fn judge(
        services: Vec<ExtensionTrouble>,
        definitions: Vec<ExtensionTrouble>,
    ) -> (Outcome, Option<CauseId>) {
        let extensions = ExtensionFacts {
            looked_at: [30, 4],
            services,
            definitions,
            more: 0,
        };
        judged::<ApiExtensions>(&Facts { extensions }, &expect(&site(), ""))
    }

    #[test]
    fn an_api_that_is_whole_passes() {
        assert_eq!(judge(Vec::new(), Vec::new()), (Outcome::Pass, None));
    }

    #[test]
    fn an_api_service_that_is_not_available_fails_and_names_its_service() {
        let dead = trouble(
            "v1beta1.metrics.k8s.io",
            "Available",
            Some("kube-system/metrics-server"),
        );
        assert_eq!(
            judge(vec![dead], Vec::new()),
            (Outcome::Fail, Some(CauseId::ApiserviceDead))
        );
        let local = trouble("v1.apps", "Available", None);
        assert_eq!(
            judge(vec![local], Vec::new()),
            (Outcome::Fail, Some(CauseId::ApiserviceUnavailable))
        );
    }

    #[test]
    fn a_definition_that_is_not_established_fails_unless_it_is_young() {
        let mut broken = trouble("certificates.cert-manager.io", "NamesAccepted", None);
        assert_eq!(
            judge(Vec::new(), vec![broken.clone()]),
            (Outcome::Fail, Some(CauseId::CrdBroken))
        );
        broken.age_seconds = 3;
        assert_eq!(judge(Vec::new(), vec![broken]), (Outcome::Pass, None));
    }
}
