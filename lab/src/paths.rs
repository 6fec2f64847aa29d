//! Where a lab lies on this machine. Pure: computes paths, looks at none.

use std::path::{Path, PathBuf};

/// The directory that holds all labs, unless `AIRGAP_LAB_STATE` names another. Needs a file system that overlayfs
/// can use as its upper side.
pub const STATE: &str = "/var/lib/airgap-lab";

/// The paths of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    name: String,
    dir: PathBuf,
}

impl Paths {
    /// Returns the paths of the lab of this name.
    pub fn new(name: &str) -> Self {
        let state = std::env::var_os("AIRGAP_LAB_STATE").map_or_else(|| PathBuf::from(STATE), PathBuf::from);
        Self {
            name: name.to_owned(),
            dir: state.join(name),
        }
    }

    /// Returns the lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the lab's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the record of the lab's options and stage.
    pub fn record(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// Returns the directory of keys, certificates and lists, as made for the jumpbox.
    pub fn admin(&self) -> PathBuf {
        self.dir.join("admin")
    }

    /// Returns the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.admin().join("admin.kubeconfig")
    }

    /// Returns the private SSH key that opens every host; the public one lies beside it with `.pub`.
    pub fn ssh_key(&self) -> PathBuf {
        self.admin().join("id_ed25519")
    }

    /// Returns the host keys, by name and by address.
    pub fn known_hosts(&self) -> PathBuf {
        self.admin().join("known_hosts")
    }

    /// Returns the page's list of machines: `IPV4 FQDN HOST POD_SUBNET`.
    pub fn machines(&self) -> PathBuf {
        self.admin().join("machines.txt")
    }

    /// Returns the password of the user `op` of a hardened lab.
    pub fn password(&self) -> PathBuf {
        self.admin().join("op.password")
    }

    /// Returns the hash of that password.
    pub(crate) fn password_hash(&self) -> PathBuf {
        self.admin().join("op.password.hash")
    }

    /// Returns the lock of the lab: beside its directory, so that it outlives it.
    pub(crate) fn lock(&self) -> PathBuf {
        let labs = self.dir.parent().unwrap_or(Path::new("/"));
        labs.join(format!(".{}.lock", self.name))
    }

    /// Returns the directory that the jumpbox sees as [`MEDIA`]: what is carried across the gap goes here.
    pub fn media(&self) -> PathBuf {
        self.dir.join("media")
    }

    /// Returns the directory for what the connected side makes: registry storage, bundles before they are carried.
    pub fn connected(&self) -> PathBuf {
        self.dir.join("connected")
    }

    /// Returns the directory of all hosts' directories.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    /// Returns the directory of a host: its layers and the directories that are not overlaid.
    pub fn host(&self, host: &str) -> PathBuf {
        self.hosts().join(host)
    }

    /// Returns the name of a host's network namespace and cgroups.
    pub fn global_name(&self, host: &str) -> String {
        format!("{}.{host}", self.name)
    }

    /// Returns what the global names of this lab begin with. No other lab's do: names have no dot.
    pub fn global_prefix(&self) -> String {
        format!("{}.", self.name)
    }

    /// Returns the handle of a host's network namespace.
    pub fn netns(&self, host: &str) -> PathBuf {
        Path::new("/run/netns").join(self.global_name(host))
    }
}

/// Where the jumpbox sees the media; `/media` leads there too.
pub const MEDIA: &str = "/root/media";
