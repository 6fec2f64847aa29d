//! The images that the lab's registry serves: an nginx that says "Welcome to nginx!", pause, the same nginx as a Docker
//! schema 2 image and as a multi-platform index, and a larger set for benchmarks.
//!
//! Made from Debian packages and a C compiler into OCI image layouts in the cache, and pushed from there.

mod bench;
mod dns;
mod layout;
mod recipe;
mod rootfs;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Cache};
use crate::tool::Say;
use crate::{Error, run};

/// Debian packages that making and pushing the images needs.
pub const PACKAGES: [&str; 5] = ["mmdebstrap", "skopeo", "gcc", "libc6-dev", "perl-base"];

/// Media type of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image of the lab's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Repository in the lab's registry.
    pub repository: &'static str,
    /// Tag.
    pub tag: &'static str,
    /// The name that clusters know it by.
    pub name: &'static str,
    /// Media type of what the registry answers for the tag.
    pub media_type: &'static str,
}

/// The nginx of the smoke test.
pub const NGINX: Served = Served {
    repository: "library/nginx",
    tag: "1.29",
    name: "docker.io/library/nginx:1.29",
    media_type: OCI_MANIFEST,
};

/// The sandbox image of the nodes.
pub const PAUSE: Served = Served {
    repository: "pause",
    tag: "3.10",
    name: "registry.k8s.io/pause:3.10",
    media_type: OCI_MANIFEST,
};

/// The nginx as a Docker schema 2 image.
pub const NGINX_DOCKER: Served = Served {
    repository: "library/nginx",
    tag: "1.29-docker",
    name: "docker.io/library/nginx:1.29-docker",
    media_type: DOCKER_MANIFEST,
};

/// The nginx of this machine's architecture and a tiny one of another, in one index.
pub const NGINX_MULTI: Served = Served {
    repository: "library/nginx",
    tag: "1.29-multi",
    name: "docker.io/library/nginx:1.29-multi",
    media_type: OCI_INDEX,
};

/// An nginx whose bytes differ from [`NGINX`]'s: other content for the right name.
pub const NGINX_OTHER: Served = Served {
    repository: "library/nginx",
    tag: "1.28",
    name: "docker.io/library/nginx:1.28",
    media_type: OCI_MANIFEST,
};

/// The cluster's own DNS, of labs that have one.
pub const COREDNS: Served = Served {
    repository: "coredns/coredns",
    tag: "v1.15.0",
    name: "registry.k8s.io/coredns/coredns:v1.15.0",
    media_type: OCI_MANIFEST,
};

/// Everything that the lab's registry serves.
pub const SERVED: [Served; 5] = [NGINX, PAUSE, NGINX_DOCKER, NGINX_MULTI, NGINX_OTHER];

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// [`SERVED`].
    Served,
    /// [`SERVED`] and [`COREDNS`].
    Dns,
    /// A dozen images of different sizes, some sharing layers: about 3 GB compressed.
    Bench,
}

impl Collection {
    /// Returns the word that stands for it in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Dns => "dns",
            Self::Bench => "bench",
        }
    }
}

/// An image in an OCI image layout, and where it is pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Key of what it was made from.
    pub key: String,
    /// Directory of the OCI image layout.
    pub layout: PathBuf,
    /// Name in the layout.
    pub reference: String,
    /// Repository and tag in a registry: `library/nginx:1.29`.
    pub target: String,
    form: Form,
}

/// How an image is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Byte for byte, all platforms of an index.
    Same,
    /// Rewritten as Docker schema 2.
    Docker,
}

impl Image {
    /// Pushes it to the registry at `address` (plain HTTP).
    pub fn push(&self, address: &str) -> Result<(), Error> {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        match self.form {
            Form::Same => command.args(["--all", "--preserve-digests"]),
            Form::Docker => command.args(["--format", "v2s2"]),
        };
        command
            .arg(format!("oci:{}:{}", self.layout.display(), self.reference))
            .arg(format!("docker://{address}/{}", self.target));
        run::run(&mut command).map(|_| ())
    }
}

/// Makes what is not there yet of a collection and returns its images.
pub fn ensure(cache: &Cache, collection: Collection, say: Say<'_>) -> Result<Vec<Image>, Error> {
    match collection {
        Collection::Served => served(cache, say),
        Collection::Dns => {
            let mut images = served(cache, say)?;
            images.push(dns::image(cache, say)?);
            Ok(images)
        }
        Collection::Bench => bench::ensure(cache, say),
    }
}

fn served(cache: &Cache, say: Say<'_>) -> Result<Vec<Image>, Error> {
    let entry = format!("images/served-{}-{}", recipe::VERSION, architecture());
    let layouts = cache.entry(&entry, |staging| recipe::make(cache, staging, say))?;
    let image = |served: Served, layout: &str, form| Image {
        key: entry.clone(),
        layout: layouts.join(layout),
        reference: served.tag.to_owned(),
        target: format!("{}:{}", served.repository, served.tag),
        form,
    };
    let docker = Image {
        reference: NGINX.tag.to_owned(),
        ..image(NGINX_DOCKER, "nginx", Form::Docker)
    };
    Ok(vec![
        image(NGINX, "nginx", Form::Same),
        image(PAUSE, "pause", Form::Same),
        docker,
        image(NGINX_MULTI, "multi", Form::Same),
        image(NGINX_OTHER, "other", Form::Same),
    ])
}

/// Writes an image of the lab's as an OCI archive, a tar that `ctr images import` takes under its cluster name.
pub fn archive(cache: &Cache, served: Served, path: &Path, say: Say<'_>) -> Result<(), Error> {
    write_archive(&ensure(cache, Collection::Served, say)?, served, path)
}

/// Returns the archives of what a cluster with a DNS of its own needs on each node, as [`archive`] writes them.
pub(crate) fn archives_for_dns(cache: &Cache, say: Say<'_>) -> Result<[PathBuf; 2], Error> {
    let images = ensure(cache, Collection::Dns, say)?;
    let keys: Vec<&str> = images.iter().map(|image| image.key.as_str()).collect();
    let entry = format!("images/archives-{}", cache::key(&keys));
    let directory = cache.entry(&entry, |staging| {
        write_archive(&images, PAUSE, &staging.join("pause.tar"))?;
        write_archive(&images, COREDNS, &staging.join("coredns.tar"))
    })?;
    Ok(["pause.tar", "coredns.tar"].map(|name| directory.join(name)))
}

fn write_archive(images: &[Image], served: Served, path: &Path) -> Result<(), Error> {
    let target = format!("{}:{}", served.repository, served.tag);
    let missing = || Error::file("finding the layout of", &target)(std::io::ErrorKind::NotFound.into());
    let image = images
        .iter()
        .find(|image| image.target == target)
        .ok_or_else(missing)?;
    let mut command = Command::new("skopeo");
    command
        .args(["--insecure-policy", "copy", "--quiet"])
        .arg(format!("oci:{}:{}", image.layout.display(), image.reference))
        .arg(format!("oci-archive:{}:{}", path.display(), served.name));
    run::run(&mut command).map(|_| ())
}

/// Returns this machine's architecture as images call it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
