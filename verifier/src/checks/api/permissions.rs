//! `api.permissions`: the kubeconfig may do what the checks need.

use serde::{Deserialize, Serialize};

use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ApiPermissions>("api.permissions", Scope::Cluster);

struct ApiPermissions;

#[derive(Serialize, Deserialize)]
struct Facts {
    asked: Vec<String>,
    missing: Vec<String>,
}

impl Probe for ApiPermissions {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let permissions: Vec<Permission> = ctx.permissions.iter().copied().collect();
        // Before its namespace exists the run may already be asked about by name.
        let own = format!("verifier-{}", ctx.run);
        let place = ctx.site.suite.namespace.as_deref().unwrap_or(&own);
        let missing = ctx.api()?.missing(&permissions, place).await?;
        let text = |list: &[Permission]| list.iter().map(Permission::to_string).collect();
        Ok(Facts {
            asked: text(&permissions),
            missing: text(&missing),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        if facts.missing.is_empty() {
            return Ok(Vec::new());
        }
        let missing = cause::PermissionsMissing {
            verbs: &facts.missing.join(", "),
            missing: &facts.missing.len(),
            asked: &facts.asked.len(),
        };
        Ok(vec![Finding::error(missing)])
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let asked = Evidence::lines(phrase::VerbsAsked, &facts.asked);
        asked.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    #[test]
    fn a_missing_verb_is_an_error_that_names_it() {
        let site = site();
        let facts = |missing: &[&str]| Facts {
            asked: vec!["create deployments.apps".to_owned()],
            missing: missing.iter().map(|verb| (*verb).to_owned()).collect(),
        };
        let judge = |facts: &Facts| judged::<ApiPermissions>(facts, &expect(&site, ""));
        assert_eq!(judge(&facts(&[])), (Outcome::Pass, None));
        let missing = facts(&["create deployments.apps"]);
        assert_eq!(
            judge(&missing),
            (Outcome::Error, Some(CauseId::PermissionsMissing))
        );
        let findings = ApiPermissions::judge(&missing, &expect(&site, "")).unwrap();
        assert_eq!(findings[0].cause.args()["verbs"], "create deployments.apps");
    }

    #[test]
    fn a_check_asks_for_what_its_fixtures_need() {
        let scale = crate::checks::all()
            .find(|check| check.id == "workload.scale")
            .unwrap();
        let asked: Vec<String> = scale.asks().map(|asked| asked.to_string()).collect();
        assert!(asked.contains(&"create deployments.apps".to_owned()));
        assert!(asked.contains(&"delete namespaces".to_owned()));
    }
}
