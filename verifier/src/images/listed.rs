//! An image on a host as lists have it: tables, CSV, CycloneDX.

use cli::Shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::certs::Standing;

/// What a host holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostImages {
    /// All of it together; absent where the runtime does not say.
    pub totals: Option<Totals>,
    /// Image by image.
    pub images: Vec<Listed>,
}

/// What the images of a host take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Totals {
    /// The host.
    #[schemars(with = "String")]
    pub host: Shown,
    /// Bytes of all blobs.
    pub blobs: u64,
    /// Bytes of all unpacked layers.
    pub snapshots: u64,
    /// How many images nobody uses and no bundle has; without a bundle: that nobody uses and nobody pinned.
    pub removable: usize,
    /// Bytes that removing all of these would free: layers that others need stay, and shared ones count once.
    pub freed: u64,
}

/// An image on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Listed {
    /// The host.
    #[schemars(with = "String")]
    pub host: Shown,
    /// The namespace of containerd; `k8s.io` is the CRI's. Null where the runtime has none.
    #[schemars(with = "Option<String>")]
    pub namespace: Option<Shown>,
    /// Its names by tag; of an image that is not there, the name that it should have.
    #[schemars(with = "Vec<String>")]
    pub names: Vec<Shown>,
    /// Its names by digest.
    #[schemars(with = "Vec<String>")]
    pub digests: Vec<Shown>,
    /// The image id: the digest of its configuration. Null where it is not known.
    #[schemars(with = "Option<String>")]
    pub id: Option<Shown>,
    /// Its platform, as its configuration says.
    #[schemars(with = "Option<String>")]
    pub platform: Option<Shown>,
    /// Whether the kubelet must keep it.
    pub pinned: bool,
    /// Whether a bundle has this very content; null where none was given.
    pub bundled: Option<bool>,
    /// Bytes of its blobs; null where the runtime does not say.
    pub blobs: Option<u64>,
    /// Bytes of its unpacked layers.
    pub snapshots: Option<u64>,
    /// Bytes that no other image of the host shares: what removing it alone would free.
    pub own: Option<u64>,
    /// The containers that run it: `namespace/pod/container`; `sandbox` where the runtime makes sandboxes of it.
    #[schemars(with = "Vec<String>")]
    pub used_by: Vec<Shown>,
    /// How it stands.
    pub standing: Standing,
    /// What is to be said of it, by the ids of causes.
    pub causes: Vec<String>,
}
