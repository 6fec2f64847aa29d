//! `api.permissions`: the kubeconfig may do what the checks need.

use serde::{Deserialize, Serialize};

use crate::cluster::Permission;
use crate::findings::{Cause, CauseId, Evidence, Outcome, Trouble, Verdict};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ApiPermissions>(About {
    id: "api.permissions",
    scope: Scope::Cluster,
    needs: &[],
    permissions: &[],
    summary: "the kubeconfig may do what the checks need",
    explain: "Asks the API server, by SelfSubjectAccessReview, for every verb that the checks of this run use: making \
and removing a namespace of their own, a Lease, a Secret and a Deployment in it, reading pods, events, Nodes and their \
Leases. What is missing is an error, not a failure of the cluster: the checks that need it could not look.\n\n\
Usual causes, in order: a developer's kubeconfig was given instead of an administrator's; the role lacks one verb; \
another context of the kubeconfig is the current one.\n\nWhere to look: the RoleBindings of the kubeconfig's user.",
    by_hand: "kubectl auth can-i --list",
});

struct ApiPermissions;

#[derive(Serialize, Deserialize)]
struct Facts {
    asked: Vec<String>,
    missing: Vec<String>,
}

impl Probe for ApiPermissions {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Trouble> {
        let permissions: Vec<Permission> = ctx.permissions.iter().copied().collect();
        // Before its namespace exists the run may already be asked about by name.
        let missing = ctx
            .api()?
            .missing(&permissions, &format!("verifier-{}", ctx.run))
            .await?;
        let text = |list: &[Permission]| list.iter().map(Permission::to_string).collect();
        Ok(Facts {
            asked: text(&permissions),
            missing: text(&missing),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let asked = [Evidence::new("verbs that were asked for", facts.asked.join("\n"))];
        if facts.missing.is_empty() {
            return Verdict::pass().with(asked);
        }
        let verbs = facts.missing.join(", ");
        let cause = Cause::new(CauseId::Forbidden)
            .with("operation", "create selfsubjectaccessreviews")
            .with(
                "message",
                format!(
                    "{} of {} verbs are not allowed",
                    facts.missing.len(),
                    facts.asked.len()
                ),
            )
            .with("verbs", verbs);
        Verdict::new(Outcome::Error, cause).with(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};

    fn judge(missing: &[&str]) -> Verdict {
        let missing = missing.iter().map(|verb| (*verb).to_owned()).collect();
        let facts = Facts {
            asked: vec!["create deployments.apps".to_owned()],
            missing,
        };
        ApiPermissions::judge(&facts, &expect(&site(), ""))
    }

    #[test]
    fn a_missing_verb_is_an_error_that_names_it() {
        assert_eq!(seen(&judge(&[])), (Outcome::Pass, None));
        let verdict = judge(&["create deployments.apps"]);
        assert_eq!(seen(&verdict), (Outcome::Error, Some(CauseId::Forbidden)));
        assert!(
            crate::findings::catalogue::text(&verdict.cause.unwrap()).contains("create deployments.apps")
        );
    }

    #[test]
    fn a_check_asks_for_what_its_fixtures_need() {
        let scale = crate::checks::all()
            .find(|check| check.id == "workload.scale")
            .unwrap();
        let asked: Vec<String> = scale.permissions().map(|p| p.to_string()).collect();
        assert!(asked.contains(&"create deployments.apps".to_owned()));
        assert!(asked.contains(&"delete namespaces".to_owned()));
    }
}
