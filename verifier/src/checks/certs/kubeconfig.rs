//! `certs.kubeconfig`: the kubeconfig that the verifier itself was given.

use super::files::{findings, listed, shown};
use super::view::Facts;
use crate::carrier::local;
use crate::certs::Listed;
use crate::findings::{Evidence, Judged, Unjudged, cause};
use crate::protocol::{Certificates, Existing};
use crate::site::LOCAL;
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Scope};

pub(super) const CHECK: Check =
    Check::of::<OwnKubeconfig>("certs.kubeconfig", Scope::Cluster).listed::<OwnKubeconfig>();

struct OwnKubeconfig;

impl Probe for OwnKubeconfig {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let ask = Certificates {
            below: Some(ctx.site.kubeconfig.display().to_string()),
        };
        let failed = |error: &dyn std::error::Error| {
            let (host, message) = (&LOCAL, &cli::chain(error));
            Unjudged::error(cause::AgentRefused { host, message })
        };
        let agent = local::agent().await.map_err(|error| failed(&error))?;
        if ctx.is_past() {
            let paths = ask.below.iter().cloned().collect();
            let asked = agent.ask(Existing { paths }, ctx.limits.timeout).await;
            if asked.map_err(|error| failed(&error))?.is_empty() {
                // It may lie on the other side of the gap.
                return Err(Unjudged::skip(cause::KubeconfigElsewhere));
            }
        }
        let own = agent
            .ask(ask, ctx.limits.timeout)
            .await
            .map_err(|error| failed(&error))?;
        let elsewhere = ctx.fixtures().certificates(ctx).await.elsewhere(LOCAL);
        Ok(Facts::at(ctx.now(), ctx.days, own, elsewhere))
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let view = facts.view(LOCAL, None);
        if view.scene.places.is_empty() && facts.own.unread.is_empty() {
            return Err(Unjudged::skip(cause::KubeconfigWithout));
        }
        Ok(findings(&view))
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        shown(&Self::list(facts, expect))
    }
}

impl Lists for OwnKubeconfig {
    fn list(facts: &Facts, _: &Expect<'_>) -> Vec<Listed> {
        listed(&facts.view(LOCAL, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{Days, Elsewhere};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::CertificatesReply;

    #[test]
    fn a_kubeconfig_without_certificates_is_skipped_with_its_reason() {
        let facts = Facts {
            now: 0,
            days: Days::default(),
            own: CertificatesReply::default(),
            elsewhere: Elsewhere::default(),
        };
        let skip = (Outcome::Skip, Some(CauseId::KubeconfigWithout));
        assert_eq!(judged::<OwnKubeconfig>(&facts, &expect(&site(), "server")), skip);
    }
}
