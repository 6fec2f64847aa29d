//! What a bundle must hold, from its index, and the comparison of one member with it as its bytes pass.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::{Digest, Hasher};
use crate::documents::{Config, Manifest, Target};
use crate::error::ReadError;
use crate::estimate::Estimator;
use crate::index::{Index, Member, PlatformImage};
use crate::layer::LayerProof;
use crate::order;
use crate::path::MemberPath;
use crate::walk::Found;

/// What a blob is to an image: positions in the index.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// The image index that a name stands for.
    Target(usize),
    Manifest(usize, usize),
    Config(usize, usize),
    /// A layer whose unpacked length the index says.
    Layer(u64),
    /// A layer, by what it must unpack to.
    Tar(Digest),
}

/// How much of a bundle is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Every byte by its hash, every document by what the index says of it.
    #[default]
    Bytes,
    /// Also every layer by what it unpacks to.
    Layers,
}

/// A validated index, and what it makes of each blob.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) index: Arc<Index>,
    pub(crate) id: Digest,
    roles: BTreeMap<Digest, Vec<Role>>,
}

impl Expected {
    pub(crate) fn new(index: Index, id: Digest) -> Self {
        let mut roles: BTreeMap<Digest, Vec<Role>> = BTreeMap::new();
        let mut add = |digest: &Digest, role| roles.entry(*digest).or_default().push(role);
        for (at, image) in index.images.iter().enumerate() {
            let alone = image.platforms.len() == 1 && image.platforms[0].manifest == image.digest;
            if !alone {
                add(&image.digest, Role::Target(at));
            }
            for (platform, entry) in image.platforms.iter().enumerate() {
                add(&entry.manifest, Role::Manifest(at, platform));
                add(&entry.config, Role::Config(at, platform));
                for layer in &entry.layers {
                    add(&layer.digest, Role::Tar(layer.diff_id));
                    if let Some(unpacked) = layer.unpacked {
                        add(&layer.digest, Role::Layer(unpacked));
                    }
                }
            }
        }
        Self {
            index: Arc::new(index),
            id,
            roles,
        }
    }

    /// Compares a file that was met with the member at `next`, which must be it.
    pub(crate) fn admit(&self, next: usize, found: &Found) -> Result<(), ReadError> {
        let path = || found.path.clone();
        let member = match self.index.members.get(next) {
            Some(member) if member.path == found.path => member,
            other => return Err(self.stranger(next, other, found)),
        };
        if found.size != member.size {
            return Err(ReadError::Length {
                member: path(),
                expected: member.size,
                found: found.size,
            });
        }
        match found.mode {
            Some(mode) if mode != member.mode => Err(ReadError::Mode {
                member: path(),
                expected: member.mode,
                found: mode,
            }),
            _ => Ok(()),
        }
    }

    /// Says why a file does not belong where it was met.
    fn stranger(&self, next: usize, expected: Option<&Member>, found: &Found) -> ReadError {
        let member = found.path.clone();
        let own = [order::INDEX, order::SIGNATURE, order::SUMS];
        match self.index.position(&member) {
            Some(at) if at < next => ReadError::Duplicate { member },
            None if own.contains(&member.as_str()) => ReadError::Duplicate { member },
            position => {
                let folded = member.folded();
                let own = own.into_iter().map(MemberPath::known);
                let mut all = self.index.members.iter().map(|m| m.path.clone()).chain(own);
                match (position, all.find(|other| other.folded() == folded), expected) {
                    (None, Some(other), _) => ReadError::Twin { member, other },
                    (Some(_), _, Some(expected)) => ReadError::Misplaced {
                        member,
                        expected: expected.path.clone(),
                    },
                    _ => ReadError::NotNamed { member },
                }
            }
        }
    }

    /// Checks, at the end, that no member is left.
    pub(crate) fn end(&self, next: usize) -> Result<(), ReadError> {
        match self.index.members.get(next) {
            Some(member) => Err(ReadError::Missing {
                member: member.path.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Sees the bytes of one member pass.
pub(crate) struct Audit {
    expected: Arc<Expected>,
    at: usize,
    hasher: Hasher,
    /// The bytes of a document; never more than its limit, which the index was checked for.
    document: Option<Vec<u8>>,
    estimator: Option<Estimator>,
    proof: Option<LayerProof>,
}

impl Audit {
    /// Starts with the member at `at`.
    pub(crate) fn new(expected: Arc<Expected>, at: usize, depth: Depth) -> Self {
        let digest = expected.index.members[at].sha256;
        let is_blob = expected.index.members[at].path.blob_digest().is_some();
        let roles = expected.roles.get(&digest).filter(|_| is_blob);
        let some = |test: fn(&Role) -> bool| roles.is_some_and(|roles| roles.iter().any(test));
        let document = some(|role| !matches!(role, Role::Layer(_) | Role::Tar(_))).then(Vec::new);
        let estimator = some(|role| matches!(role, Role::Layer(_))).then(Estimator::new);
        let deep = depth == Depth::Layers && some(|role| matches!(role, Role::Tar(_)));
        let proof = deep.then(LayerProof::new);
        Self {
            expected,
            at,
            hasher: Hasher::new(),
            document,
            estimator,
            proof,
        }
    }

    /// Takes in the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if let Some(document) = &mut self.document {
            document.extend_from_slice(bytes);
        }
        if let Some(estimator) = &mut self.estimator {
            estimator.update(bytes);
        }
        if let Some(proof) = &mut self.proof {
            proof.update(bytes);
        }
    }

    /// Compares what has passed, all of it, with the index.
    pub(crate) fn finish(self) -> Result<(), ReadError> {
        let index = &self.expected.index;
        let member = &index.members[self.at];
        let found = self.hasher.finish();
        if found != member.sha256 {
            return Err(ReadError::Hash {
                member: member.path.clone(),
                expected: member.sha256,
                found,
            });
        }
        let roles = match member.path.blob_digest() {
            Some(digest) => self.expected.roles.get(&digest).map_or(&[][..], Vec::as_slice),
            None => &[],
        };
        if let Some(proof) = self.proof {
            prove(member, roles, proof)?;
        }
        let documents = Documents::new(self.document.as_deref().unwrap_or_default());
        roles
            .iter()
            .try_for_each(|role| documents.play(index, *role, self.estimator.as_ref()))
            .map_err(|reason| ReadError::Document {
                member: member.path.clone(),
                reason,
            })
    }
}

/// Checks that a layer unpacks to what all images that have it say.
fn prove(member: &Member, roles: &[Role], proof: LayerProof) -> Result<(), ReadError> {
    let found = proof.finish().map_err(|source| ReadError::Layer {
        member: member.path.clone(),
        source,
    })?;
    let said = roles.iter().filter_map(|role| match role {
        Role::Tar(diff_id) => Some(*diff_id),
        _ => None,
    });
    match said.into_iter().find(|expected| *expected != found.diff_id) {
        Some(expected) => Err(ReadError::DiffId {
            member: member.path.clone(),
            expected,
            found: found.diff_id,
        }),
        None => Ok(()),
    }
}

/// One document, read at most once as each of what it may be: thousands of images may name the same.
struct Documents<'a> {
    bytes: &'a [u8],
    target: OnceCell<Result<Target, String>>,
    manifest: OnceCell<Result<Manifest, String>>,
    config: OnceCell<Result<Config, String>>,
}

impl<'a> Documents<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            target: OnceCell::new(),
            manifest: OnceCell::new(),
            config: OnceCell::new(),
        }
    }

    /// Compares the document with what the index says of it in one role.
    fn play(&self, index: &Index, role: Role, estimator: Option<&Estimator>) -> Result<(), String> {
        let platform = |at: usize, of: usize| -> &PlatformImage { &index.images[at].platforms[of] };
        match role {
            Role::Target(at) => {
                read(&self.target, || Target::parse(self.bytes))?.check(index, &index.images[at])
            }
            Role::Manifest(at, of) => {
                read(&self.manifest, || Manifest::parse(self.bytes))?.check(index, platform(at, of))
            }
            Role::Config(at, of) => read(&self.config, || Config::parse(self.bytes))?.check(platform(at, of)),
            Role::Layer(unpacked) => match estimator {
                Some(estimator) if !estimator.allows(unpacked) => Err(format!(
                    "bundle.json says that it unpacks to {unpacked} bytes, the layer itself says {}",
                    estimator.finish().unwrap_or_default()
                )),
                _ => Ok(()),
            },
            Role::Tar(_) => Ok(()),
        }
    }
}

fn read<T>(
    cell: &OnceCell<Result<T, String>>,
    parse: impl FnOnce() -> Result<T, String>,
) -> Result<&T, String> {
    cell.get_or_init(parse).as_ref().map_err(Clone::clone)
}
