//! What a check is: an id, whom it judges, how it looks and how it judges. Words come from the catalogue at the edge.

use bundle::Index;
use futures::future::BoxFuture;
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};

use super::fixtures::Fixture;
use super::{Ctx, Member};
use crate::cluster::Permission;
use crate::findings::{Trouble, Verdict};
use crate::site::{Host, Site};

/// Whom a check judges: one result for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The cluster as a whole.
    Cluster,
    /// Each control-plane host.
    #[serde(rename = "cp")]
    ControlPlane,
    /// Each worker.
    Worker,
    /// Every host.
    Host,
}

/// What a judge measures facts against.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// The site.
    pub site: &'a Site,
    /// The index of the bundle; absent: none was given.
    pub index: Option<&'a Index>,
    /// The host that is judged; absent where the scope is the cluster.
    pub host: Option<&'a Host>,
}

/// How a check looks and how it judges.
pub trait Probe {
    /// What it sees. Kept as evidence, and enough to be judged again elsewhere.
    type Facts: Serialize + DeserializeOwned + Send;

    /// Asks agents and API.
    fn gather(ctx: &Ctx, member: &Member) -> impl Future<Output = Result<Self::Facts, Trouble>> + Send;

    /// Judges what was seen. Pure: no clock, no I/O.
    fn judge(facts: &Self::Facts, expect: &Expect<'_>) -> Verdict;
}

type Gather = for<'a> fn(&'a Ctx, &'a Member) -> BoxFuture<'a, Result<serde_json::Value, Trouble>>;
type Judge = fn(&serde_json::Value, &Expect<'_>) -> Verdict;

/// A check as the list has it.
#[derive(Clone, Copy)]
pub struct Check {
    /// `group.name`, stable.
    pub id: &'static str,
    /// Whom it judges.
    pub scope: Scope,
    /// The fixtures that it needs.
    pub needs: &'static [Fixture],
    /// What it asks of the API.
    pub permissions: &'static [Permission],
    /// One line: what it proves.
    pub summary: &'static str,
    /// What it proves at length, the usual causes of failure in order, where to look.
    pub explain: &'static str,
    /// How to redo it by hand; `{host}` and `{address}` stand for the member.
    pub by_hand: &'static str,
    /// Whether it judges hosts whose agent does not answer too: it is the one that says why.
    pub without_agent: bool,
    /// Whether it judges Nodes that the site file does not know too, under their own names.
    pub strangers: bool,
    gather: Gather,
    judge: Judge,
}

/// The longer words of a check, for reports and for `explain`.
#[derive(Clone, Copy, Debug)]
pub struct CheckText {
    /// See [`Check::by_hand`].
    pub by_hand: &'static str,
    /// See [`Check::explain`].
    pub explain: &'static str,
}

/// What of a check is words and lists: the rest is its [`Probe`].
#[derive(Clone, Copy)]
pub struct About {
    /// See [`Check::id`].
    pub id: &'static str,
    /// See [`Check::scope`].
    pub scope: Scope,
    /// See [`Check::needs`].
    pub needs: &'static [Fixture],
    /// See [`Check::permissions`].
    pub permissions: &'static [Permission],
    /// See [`Check::summary`].
    pub summary: &'static str,
    /// See [`Check::explain`].
    pub explain: &'static str,
    /// See [`Check::by_hand`].
    pub by_hand: &'static str,
}

impl Check {
    /// Returns the check that looks and judges as `P` does.
    pub const fn of<P: Probe>(about: About) -> Self {
        Self {
            id: about.id,
            scope: about.scope,
            needs: about.needs,
            permissions: about.permissions,
            summary: about.summary,
            explain: about.explain,
            by_hand: about.by_hand,
            without_agent: false,
            strangers: false,
            gather: gather::<P>,
            judge: judge::<P>,
        }
    }

    /// Makes it judge Nodes that the site file does not know too.
    #[must_use]
    pub const fn with_strangers(mut self) -> Self {
        self.strangers = true;
        self
    }

    /// Looks at a member.
    pub(crate) fn gather<'a>(
        &self,
        ctx: &'a Ctx,
        member: &'a Member,
    ) -> BoxFuture<'a, Result<serde_json::Value, Trouble>> {
        (self.gather)(ctx, member)
    }

    /// Judges facts. Pure.
    pub fn judge(&self, facts: &serde_json::Value, expect: &Expect<'_>) -> Verdict {
        (self.judge)(facts, expect)
    }

    /// Returns what it asks of the API, fixtures included.
    pub fn permissions(&self) -> impl Iterator<Item = Permission> {
        let fixtures = self.needs.iter().flat_map(|fixture| fixture.permissions());
        self.permissions.iter().chain(fixtures).copied()
    }

    /// Makes it judge hosts whose agent does not answer too.
    #[must_use]
    pub const fn without_agent(mut self) -> Self {
        self.without_agent = true;
        self
    }
}

fn gather<'a, P: Probe>(
    ctx: &'a Ctx,
    member: &'a Member,
) -> BoxFuture<'a, Result<serde_json::Value, Trouble>> {
    Box::pin(async move {
        let facts = P::gather(ctx, member).await?;
        serde_json::to_value(&facts).map_err(|error| Trouble::internal(&error))
    })
}

fn judge<P: Probe>(facts: &serde_json::Value, expect: &Expect<'_>) -> Verdict {
    match P::Facts::deserialize(facts) {
        Ok(facts) => P::judge(&facts, expect),
        Err(error) => Trouble::internal(&error).into(),
    }
}

/// Returns 64 bits from the system's random numbers: for names that must differ, not for secrets.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Its keys come from the system's random numbers.
    std::hash::RandomState::new().build_hasher().finish()
}
