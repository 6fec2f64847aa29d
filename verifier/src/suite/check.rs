//! What a check is: an id, whom it judges, how it looks and how it judges. Its words lie in `words/`, by its id.

use bundle::Index;
use bundle::nodes::ImageNodes;
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

use super::accept::accept;
use super::fixtures::Fixture;
use super::{Ctx, Facts, Member, Motion, Scope, Seen};
use crate::certs::Listed;
use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Judged, Unjudged, Verdict};
use crate::images::HostImages;
use crate::site::{Host, Site};

/// What a judge measures facts against.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// The site.
    pub site: &'a Site,
    /// The index of the bundle; absent: none was given.
    pub index: Option<&'a Index>,
    /// Which of its images are for some nodes only.
    pub nodes: &'a ImageNodes,
    /// The host that is judged; absent where the scope is the cluster.
    pub host: Option<&'a Host>,
}

impl<'a> Expect<'a> {
    /// Returns the host that is judged.
    ///
    /// # Errors
    /// Of a scope without hosts, or of a host that the site file does not know.
    pub fn host(&self) -> Result<&'a Host, Unjudged> {
        self.host.ok_or_else(|| Unjudged::internal(&"no host to judge"))
    }
}

/// How a check looks and how it judges.
pub trait Probe {
    /// What it sees. Kept as evidence, and enough to be judged again elsewhere.
    type Facts: Serialize + DeserializeOwned + Send + Sync;

    /// Asks agents and API.
    fn gather(ctx: &Ctx, member: &Member) -> impl Future<Output = Result<Self::Facts, Unjudged>> + Send;

    /// Judges what was seen. Pure: no clock, no I/O.
    ///
    /// # Errors
    /// Where there is nothing to judge: that is never a pass.
    fn judge(facts: &Self::Facts, expect: &Expect<'_>) -> Judged;

    /// Returns what a person can look at.
    fn evidence(_facts: &Self::Facts, _expect: &Expect<'_>) -> Vec<Evidence> {
        Vec::new()
    }
}

/// How a check looks deeper where something was found, and puts causes before symptoms.
pub trait Trace: Probe {
    /// What it sees then.
    type Depth: Serialize + DeserializeOwned + Send + Sync;

    /// Asks agents and API for what may explain the findings. What cannot be had is left out: the findings stand anyway.
    fn trace(
        ctx: &Ctx,
        member: &Member,
        facts: &Self::Facts,
        findings: &[Finding],
    ) -> impl Future<Output = Self::Depth> + Send;

    /// Returns the findings with their causes. Pure.
    fn explain(
        findings: Vec<Finding>,
        facts: &Self::Facts,
        depth: &Self::Depth,
        expect: &Expect<'_>,
    ) -> Vec<Finding>;

    /// Returns what more a person can look at.
    fn deeper(_depth: &Self::Depth, _expect: &Expect<'_>) -> Vec<Evidence> {
        Vec::new()
    }
}

/// How a check lists the certificates that it judged.
pub trait Lists: Probe {
    /// Returns them, each with how it stands. Pure.
    fn list(facts: &Self::Facts, expect: &Expect<'_>) -> Vec<Listed>;
}

/// How a check lists the images that it judged.
pub trait ListsImages: Probe {
    /// Returns them, each with how it stands. Pure.
    fn images(facts: &Self::Facts, expect: &Expect<'_>) -> HostImages;
}

type Gather = for<'a> fn(&'a Ctx, &'a Member) -> BoxFuture<'a, Result<Facts, Unjudged>>;
type Judge = fn(&Facts, &Expect<'_>) -> Judged;
type Show = fn(&Facts, &Expect<'_>) -> Vec<Evidence>;
type List = fn(&Facts, &Expect<'_>) -> Vec<Listed>;
type ListImages = fn(&Facts, &Expect<'_>) -> HostImages;
type Tracing = for<'a> fn(&'a Ctx, &'a Member, &'a Facts, &'a [Finding]) -> BoxFuture<'a, Option<Facts>>;

/// The deeper look of a check.
#[derive(Clone, Copy)]
struct Deeper {
    trace: Tracing,
    explain: fn(Vec<Finding>, &Facts, &Facts, &Expect<'_>) -> Vec<Finding>,
    show: Show,
}

/// A check as the list has it.
#[derive(Clone, Copy)]
pub struct Check {
    /// `group.name`, stable.
    pub id: &'static str,
    /// Whom it judges.
    pub scope: Scope,
    /// The fixtures without which it cannot look.
    pub needs: &'static [Fixture],
    /// The fixtures that it waits for, and without which it judges the rest.
    pub wants: &'static [Fixture],
    /// What it asks of the API.
    pub permissions: &'static [Permission],
    /// Whether it judges hosts whose agent does not answer too: it is the one that says why.
    pub without_agent: bool,
    /// Whether a finding counts only if a second reading shows it too.
    pub confirmed: bool,
    /// Whether what it reads must stand still meanwhile, or it moves that itself.
    pub motion: Motion,
    gather: Gather,
    judge: Judge,
    show: Show,
    deeper: Option<Deeper>,
    list: Option<List>,
    images: Option<ListImages>,
    /// Whether only an audit, or who names it, runs it.
    pub on_demand: bool,
}

impl Check {
    /// Returns the check that looks and judges as `P` does.
    pub const fn of<P: Probe>(id: &'static str, scope: Scope) -> Self {
        Self {
            id,
            scope,
            needs: &[],
            wants: &[],
            permissions: &[],
            without_agent: false,
            confirmed: false,
            motion: Motion::None,
            gather: gather::<P>,
            judge: judge::<P>,
            show: show::<P>,
            deeper: None,
            list: None,
            images: None,
            on_demand: false,
        }
    }

    /// Names the fixtures without which it cannot look.
    #[must_use]
    pub const fn needs(mut self, fixtures: &'static [Fixture]) -> Self {
        self.needs = fixtures;
        self
    }

    /// Names the fixtures that it waits for, and without which it judges the rest.
    #[must_use]
    pub const fn wants(mut self, fixtures: &'static [Fixture]) -> Self {
        self.wants = fixtures;
        self
    }

    /// Names what it asks of the API.
    #[must_use]
    pub const fn permissions(mut self, permissions: &'static [Permission]) -> Self {
        self.permissions = permissions;
        self
    }

    /// Makes it judge hosts whose agent does not answer too.
    #[must_use]
    pub const fn without_agent(mut self) -> Self {
        self.without_agent = true;
        self
    }

    /// Makes what it finds count only if a second reading, 3 s later, shows it too; 10 s where it reads what must
    /// [stand still](Motion::Still). Findings that are [sure](Finding::sure) need none.
    #[must_use]
    pub const fn confirmed(mut self) -> Self {
        self.confirmed = true;
        self
    }

    /// Says whether what it reads must stand still, or it moves that itself: who moves waits until the others have read.
    #[must_use]
    pub const fn motion(mut self, motion: Motion) -> Self {
        self.motion = motion;
        self
    }

    /// Makes it look deeper where something was found, as `T` does.
    #[must_use]
    pub const fn traced<T: Trace>(mut self) -> Self {
        self.deeper = Some(Deeper {
            trace: trace::<T>,
            explain: explain::<T>,
            show: deeper::<T>,
        });
        self
    }

    /// Makes it list the certificates that it judged, as `L` does.
    #[must_use]
    pub const fn listed<L: Lists>(mut self) -> Self {
        self.list = Some(list::<L>);
        self
    }

    /// Makes it list the images that it judged, as `L` does.
    #[must_use]
    pub const fn listed_images<L: ListsImages>(mut self) -> Self {
        self.images = Some(images::<L>);
        self
    }

    /// Makes it a part of an audit, which `run` and `smoke` leave out unless it is named.
    #[must_use]
    pub const fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }

    /// Returns the images that it judged. Pure.
    pub(super) fn images(&self, seen: &Seen, expect: &Expect<'_>) -> HostImages {
        self.images
            .map(|images| images(seen.last(), expect))
            .unwrap_or_default()
    }

    /// Returns the certificates that it judged. Pure.
    pub(super) fn certificates(&self, seen: &Seen, expect: &Expect<'_>) -> Vec<Listed> {
        self.list
            .map(|list| list(seen.last(), expect))
            .unwrap_or_default()
    }

    /// Returns what it asks of the API, fixtures included.
    pub fn asks(&self) -> impl Iterator<Item = Permission> {
        let fixtures = self.needs.iter().chain(self.wants);
        let fixtures = fixtures.flat_map(|fixture| fixture.permissions());
        self.permissions.iter().copied().chain(fixtures)
    }

    /// Returns what it asks of the API where nothing can be made.
    pub fn reads(&self) -> impl Iterator<Item = Permission> {
        let looks = self.needs.is_empty();
        let own = self.permissions.iter().filter(move |_| looks);
        own.copied().filter(Permission::reads)
    }

    /// Looks at a member once.
    pub(super) async fn gather(&self, ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        (self.gather)(ctx, member).await
    }

    /// Looks deeper where the check does and something was found.
    pub(super) async fn trace(
        &self,
        ctx: &Ctx,
        member: &Member,
        facts: &Facts,
        found: &[Finding],
    ) -> Option<Facts> {
        match self.deeper {
            Some(deeper) if !found.is_empty() => (deeper.trace)(ctx, member, facts, found).await,
            _ => None,
        }
    }

    /// Judges the readings, as far as the check can without a deeper look. Pure.
    pub(super) fn judge_readings(&self, seen: &Seen, expect: &Expect<'_>) -> Judged {
        let first = (self.judge)(&seen.facts, expect)?;
        let Some(again) = &seen.again else {
            return Ok(first);
        };
        let second = (self.judge)(again, expect)?;
        // What is wrong with the same thing in both readings counts, as the second one has it: one fault may look silent
        // first and refuse then. Only where the cause is the same must it be about the same in all but its figures.
        // A reading that could not look at something neither confirms nor clears what the other one shows of it.
        let half_blind = first.iter().any(Finding::could_not_look);
        let lasts = |finding: &Finding| {
            let before = |before: &Finding| {
                let other = before.cause.id() != finding.cause.id();
                before.subject == finding.subject && (other || before.cause.is_same(&finding.cause))
            };
            finding.sure || half_blind || finding.could_not_look() || first.iter().any(before)
        };
        let mut kept: Vec<Finding> = second.into_iter().filter(lasts).collect();
        for sure in first.into_iter().filter(|finding| finding.sure) {
            if !kept
                .iter()
                .any(|other| other.subject == sure.subject && other.cause.is_same(&sure.cause))
            {
                kept.push(sure);
            }
        }
        Ok(kept)
    }

    /// Judges what was seen. Pure.
    pub fn judge(&self, seen: &Seen, expect: &Expect<'_>) -> Verdict {
        let mut evidence = (self.show)(seen.last(), expect);
        let judged = self
            .judge_readings(seen, expect)
            .map(|findings| match (self.deeper, &seen.depth) {
                (Some(deeper), Some(depth)) => {
                    evidence.extend((deeper.show)(depth, expect));
                    (deeper.explain)(findings, seen.last(), depth, expect)
                }
                _ => findings,
            });
        let judged = judged.map(|mut findings| {
            // Of a Node that the site file does not know nothing can be accepted: it has no host to name.
            if expect.host.is_some() || self.scope == Scope::Cluster {
                let host = expect.host.map(|host| host.name.as_str());
                accept(&mut findings, self.id, host, &expect.site.accept);
            }
            findings
        });
        Verdict::of(judged, evidence)
    }
}

fn gather<'a, P: Probe>(ctx: &'a Ctx, member: &'a Member) -> BoxFuture<'a, Result<Facts, Unjudged>> {
    Box::pin(async move {
        let facts = P::gather(ctx, member).await?;
        Facts::of(&facts).map_err(|error| Unjudged::internal(&error))
    })
}

fn judge<P: Probe>(facts: &Facts, expect: &Expect<'_>) -> Judged {
    let facts = facts
        .read::<P::Facts>()
        .map_err(|error| Unjudged::internal(&error))?;
    P::judge(&facts, expect)
}

fn show<P: Probe>(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
    let facts = facts.read::<P::Facts>();
    facts.map(|facts| P::evidence(&facts, expect)).unwrap_or_default()
}

fn list<L: Lists>(facts: &Facts, expect: &Expect<'_>) -> Vec<Listed> {
    let facts = facts.read::<L::Facts>();
    facts.map(|facts| L::list(&facts, expect)).unwrap_or_default()
}

fn images<L: ListsImages>(facts: &Facts, expect: &Expect<'_>) -> HostImages {
    let facts = facts.read::<L::Facts>();
    facts.map(|facts| L::images(&facts, expect)).unwrap_or_default()
}

fn trace<'a, T: Trace>(
    ctx: &'a Ctx,
    member: &'a Member,
    facts: &'a Facts,
    findings: &'a [Finding],
) -> BoxFuture<'a, Option<Facts>> {
    Box::pin(async move {
        let facts = facts.read::<T::Facts>().ok()?;
        let depth = T::trace(ctx, member, &facts, findings).await;
        Facts::of(&depth).ok()
    })
}

fn explain<T: Trace>(
    findings: Vec<Finding>,
    facts: &Facts,
    depth: &Facts,
    expect: &Expect<'_>,
) -> Vec<Finding> {
    match (facts.read::<T::Facts>(), depth.read::<T::Depth>()) {
        (Ok(facts), Ok(depth)) => T::explain(findings, &facts, &depth, expect),
        _ => findings,
    }
}

fn deeper<T: Trace>(depth: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
    let depth = depth.read::<T::Depth>();
    depth.map(|depth| T::deeper(&depth, expect)).unwrap_or_default()
}

/// Returns 64 bits from the system's random numbers: for names that must differ, not for secrets.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Its keys come from the system's random numbers.
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::testing::site;
    use crate::findings::{CauseId, cause};

    /// Finds what its facts say: a subject and whether it is missing, surely gone, not to be looked at, or stale for so long.
    struct Says;

    impl Probe for Says {
        type Facts = Vec<(String, u32)>;

        async fn gather(_: &Ctx, _: &Member) -> Result<Self::Facts, Unjudged> {
            Ok(Vec::new())
        }

        fn judge(facts: &Self::Facts, _: &Expect<'_>) -> Judged {
            let finding = |(node, age): &(String, u32)| match age {
                0 => Finding::fail(cause::LeaseMissing { node }).of(node),
                1 => Finding::fail(cause::NodeMissing { node }).of(node).sure(),
                2 => Finding::error(cause::CheckTimeout { seconds: &2 }).of(node),
                age => Finding::fail(cause::LeaseStale {
                    node,
                    limit: &20,
                    age,
                })
                .of(node),
            };
            Ok(facts.iter().map(finding).collect())
        }
    }

    fn judged(first: serde_json::Value, second: Option<serde_json::Value>) -> Vec<(CauseId, String)> {
        const CHECK: Check = Check::of::<Says>("a.says", Scope::Cluster).confirmed();
        let seen = Seen {
            facts: first.into(),
            again: second.map(Into::into),
            depth: None,
        };
        let site = site();
        let expect = Expect {
            site: &site,
            index: None,
            nodes: &bundle::nodes::EVERYWHERE,
            host: None,
        };
        let found = CHECK.judge(&seen, &expect);
        let named = |finding: &Finding| {
            (
                finding.cause.id(),
                finding.subject.as_deref().unwrap_or_default().to_owned(),
            )
        };
        found.findings().iter().map(named).collect()
    }

    #[test]
    fn only_what_both_readings_show_of_the_same_thing_counts() {
        assert_eq!(
            judged(json!([["a", 25], ["b", 25]]), Some(json!([["b", 28], ["c", 25]]))),
            [(CauseId::LeaseStale, "b".to_owned())]
        );
        assert_eq!(judged(json!([["a", 25]]), Some(json!([]))), []);
        assert_eq!(judged(json!([["a", 25]]), None).len(), 1);
    }

    #[test]
    fn a_fault_that_looks_otherwise_the_second_time_is_not_lost() {
        assert_eq!(
            judged(json!([["a", 0]]), Some(json!([["a", 30]]))),
            [(CauseId::LeaseStale, "a".to_owned())]
        );
    }

    #[test]
    fn a_reading_that_could_not_look_clears_nothing() {
        let blind = json!([["list", 2]]);
        let found = judged(json!([["a", 25]]), Some(blind.clone()));
        assert_eq!(found, [(CauseId::CheckTimeout, "list".to_owned())]);
        let found = judged(blind.clone(), Some(json!([["a", 25]])));
        assert_eq!(found, [(CauseId::LeaseStale, "a".to_owned())]);
        assert_eq!(judged(blind, Some(json!([]))), []);
    }

    #[test]
    fn what_is_sure_stands_after_one_reading() {
        assert_eq!(
            judged(json!([["a", 1]]), Some(json!([]))),
            [(CauseId::NodeMissing, "a".to_owned())]
        );
    }
}
