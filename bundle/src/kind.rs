//! What a member of a bundle is for. Values only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a member is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The verifier for one platform.
    Verifier,
    /// Configuration, for example crictl.yaml.
    Config,
    /// Kubernetes objects.
    Manifest,
    /// A file of the user.
    File,
    /// `oci-layout` and `index.json`.
    Layout,
    /// A content-addressed blob.
    Blob,
    /// The bundle's own README.txt.
    Readme,
}
