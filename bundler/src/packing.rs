//! The second half of a build, once all names are resolved: plan, pull, prove, seal.

use std::collections::BTreeMap;

use bundle::{Created, Depth, Digest, Kind, MemberPath, Platform, WriteOptions};
use cli::Progress;

use crate::cache::Cache;
use crate::error::Reason;
use crate::order::{Build, PlannedMember};
use crate::plan::{self, Local, Parts, Plan};
use crate::pull::{self, Pulled};
use crate::registry::Registries;
use crate::render::{self, Readme};
use crate::resolved::ResolvedImage;
use crate::seal::{self, Stop};
use crate::spec::Spec;
use crate::{estimate, prove};

const TOOL: &str = concat!("bundler ", env!("CARGO_PKG_VERSION"));

/// Everything that is known once all names are resolved.
pub(crate) struct Packing<'a> {
    pub(crate) build: &'a Build,
    pub(crate) spec: &'a Spec,
    pub(crate) platforms: &'a [Platform],
    pub(crate) images: &'a [ResolvedImage],
    pub(crate) locals: &'a [Local],
    pub(crate) cache: &'a Cache,
}

impl Packing<'_> {
    /// Pulls and writes. A blob of the cache that turns out to be damaged is pulled again, once.
    pub(crate) async fn pack(
        &self,
        registries: &Registries,
        progress: &Progress,
        stop: &Stop,
    ) -> Result<(bundle::Sealed, Pulled), Reason> {
        let mut pulled = self.pull(registries, progress).await?;
        match self.prove_and_seal(progress, stop).await {
            Err(Reason::Damaged { member }) => {
                progress.say(&format!("{member} is damaged in the cache: pulling it again"));
                let again = self.pull(registries, progress).await?;
                pulled.blobs += again.blobs;
                pulled.bytes += again.bytes;
                Ok((self.prove_and_seal(progress, stop).await?, pulled))
            }
            sealed => Ok((sealed?, pulled)),
        }
    }

    async fn prove_and_seal(&self, progress: &Progress, stop: &Stop) -> Result<bundle::Sealed, Reason> {
        let mut unpacked = estimate::unpacked(self.cache, &plan::layers(self.images))?;
        if self.build.depth == Depth::Layers {
            let proven = prove::layers(self.images, self.cache, (progress, stop)).await?;
            // An estimate that turned out to be wrong is worse than none.
            unpacked.retain(|digest, size| proven.get(digest) == Some(size));
        }
        self.seal(&unpacked, progress, stop).await
    }

    async fn pull(&self, registries: &Registries, progress: &Progress) -> Result<Pulled, Reason> {
        pull::pull(plan::pulls(self.images), registries, self.cache, progress).await
    }

    async fn seal(
        &self,
        unpacked: &BTreeMap<Digest, u64>,
        progress: &Progress,
        stop: &Stop,
    ) -> Result<bundle::Sealed, Reason> {
        let plan = self.plan(unpacked)?;
        let options = WriteOptions {
            mtime: self.created().map_or(0, Created::seconds),
            compression: self.build.compression,
            signature: None,
        };
        let (output, cache) = (self.build.output.clone(), self.cache.clone());
        let (progress, stop) = (progress.clone(), Stop::clone(stop));
        let sealing = tokio::task::spawn_blocking(move || {
            seal::seal(plan, &output, options, &cache, (&progress, &stop))
        });
        sealing.await.map_err(|source| Reason::Worker { source })?
    }

    fn plan(&self, unpacked: &BTreeMap<Digest, u64>) -> Result<Plan, Reason> {
        let mut locals = self.locals.to_vec();
        let readme = self.readme()?;
        let path = MemberPath::new("README.txt").map_err(|error| Reason::Moved { what: error.path })?;
        locals.push(Local::bytes(path, Kind::Readme, readme.into_bytes()));
        Ok(plan::plan(Parts {
            name: &self.spec.name,
            serial: self.spec.serial,
            created: self.created(),
            tool: TOOL,
            platforms: self.platforms,
            smoke: self.spec.smoke.as_ref().map(crate::Reference::name),
            images: self.images,
            locals,
            unpacked,
        }))
    }

    /// Returns when the bundle is made: SOURCE_DATE_EPOCH's time, else the spec's, never the clock's.
    fn created(&self) -> Option<Created> {
        self.build.source_date.or(self.spec.created)
    }

    fn readme(&self) -> Result<String, Reason> {
        let paths = |kind| {
            let of_kind = self.locals.iter().filter(move |local| local.kind == kind);
            let mut paths: Vec<&str> = of_kind.map(|local| local.path.as_str()).collect();
            paths.sort_unstable();
            paths
        };
        let images = plan::images(self.images, &BTreeMap::new());
        Ok(render::readme(&Readme {
            name: &self.spec.name,
            tool: TOOL,
            platforms: self.platforms.iter().map(ToString::to_string).collect(),
            images: &images,
            verifiers: paths(Kind::Verifier),
            manifests: paths(Kind::Manifest),
            files: paths(Kind::File),
        })?)
    }

    pub(crate) fn planned(&self) -> Result<Vec<PlannedMember>, Reason> {
        let plan = self.plan(&BTreeMap::new())?;
        let pulls: BTreeMap<Digest, plan::Pull> = plan::pulls(self.images)
            .into_iter()
            .map(|pull| (pull.blob.digest, pull))
            .collect();
        let source = |path: &MemberPath| match plan.contents.get(path) {
            Some(plan::Content::File(file)) => file.display().to_string(),
            Some(plan::Content::Cached(digest)) => match pulls.get(digest) {
                Some(pull) if !self.cache.has(digest, pull.blob.size) => pull.from.as_ref().map_or_else(
                    || pull.image.clone(),
                    |from| format!("pull from {}/{}", from.registry(), from.repository()),
                ),
                _ => "cache".to_owned(),
            },
            _ => "made here".to_owned(),
        };
        let member = |member: &bundle::Member| PlannedMember {
            path: member.path.to_string(),
            size: member.size,
            sha256: member.sha256,
            source: source(&member.path),
        };
        Ok(plan.index.members.iter().map(member).collect())
    }
}
