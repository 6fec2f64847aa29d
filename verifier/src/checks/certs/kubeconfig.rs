//! `certs.kubeconfig`: the kubeconfig that the verifier itself was given.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::{findings, line, listed};
use super::view::View;
use crate::carrier::local;
use crate::certs::{Days, Elsewhere, Listed, Moment};
use crate::findings::{Evidence, Judged, Unjudged, cause, phrase};
use crate::protocol::{Certificates, CertificatesReply};
use crate::site::LOCAL;
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Scope};

pub(super) const CHECK: Check =
    Check::of::<OwnKubeconfig>("certs.kubeconfig", Scope::Cluster).listed::<OwnKubeconfig>();

struct OwnKubeconfig;

#[derive(Serialize, Deserialize)]
struct Facts {
    now: i64,
    days: Days,
    own: CertificatesReply,
    /// What the control plane believes and serves.
    elsewhere: Elsewhere,
}

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
        let own = agent
            .ask(ask, ctx.limits.timeout)
            .await
            .map_err(|error| failed(&error))?;
        Ok(Facts {
            now: Timestamp::now().as_second(),
            days: ctx.days,
            own,
            elsewhere: ctx.fixtures().certificates(ctx).await.elsewhere(LOCAL),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let view = view(facts);
        if view.scene.places.is_empty() && facts.own.unread.is_empty() {
            return Err(Unjudged::skip(cause::KubeconfigWithout));
        }
        Ok(findings(&view))
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = listed(&view(facts)).into_iter().map(|listed| line(&listed));
        Evidence::lines(phrase::CertificatesThere, lines)
            .into_iter()
            .collect()
    }
}

impl Lists for OwnKubeconfig {
    fn list(facts: &Facts, _: &Expect<'_>) -> Vec<Listed> {
        listed(&view(facts))
    }
}

fn view(facts: &Facts) -> View<'_> {
    View::new(
        &facts.own,
        &facts.elsewhere,
        LOCAL,
        None,
        Moment {
            now: facts.now,
            days: facts.days,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

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
