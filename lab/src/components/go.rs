//! Components that are Go modules of ours. Builds with Go caches of its own inside the lab's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::unknown;
use crate::cache::{self, Cache};
use crate::tool::{self, Say};
use crate::{Error, run};

/// A Go module of ours that pins a component.
pub(super) struct Module {
    pub(super) name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    tools: &'static str,
    /// Linker flags beyond `-s -w`.
    stamp: &'static str,
    tags: &'static str,
    cgo: bool,
    /// Programs whose package has another name.
    renamed: &'static [(&'static str, &'static str)],
}

macro_rules! module {
    ($name:literal) => {
        Module {
            name: $name,
            go_mod: include_str!(concat!("../../components/", $name, "/go.mod")),
            go_sum: include_str!(concat!("../../components/", $name, "/go.sum")),
            tools: include_str!(concat!("../../components/", $name, "/tools.go")),
            stamp: "",
            tags: "",
            cgo: false,
            renamed: &[],
        }
    };
}

/// Without the stamp Kubernetes calls itself v0.0.0, and its version skew checks go wrong.
const KUBERNETES_STAMP: &str = " -X k8s.io/component-base/version.gitVersion=v1.37.2 \
-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37";

/// Every component that is built from source.
pub(super) static MODULES: [Module; 11] = [
    Module {
        stamp: KUBERNETES_STAMP,
        ..module!("kubernetes")
    },
    module!("containerd"),
    // libseccomp is C.
    Module {
        tags: "seccomp",
        cgo: true,
        ..module!("runc")
    },
    module!("cni"),
    Module {
        renamed: &[("server", "etcd")],
        ..module!("etcd")
    },
    module!("registry"),
    module!("containerd-2.1"),
    module!("containerd-1.7"),
    module!("coredns"),
    module!("kms"),
    module!("peers"),
];

const GET_GO: &str = "install a current Go from https://go.dev/dl/ and put its bin directory on PATH";

/// The Go tool and the caches of its builds.
pub(super) struct Workshop {
    version: String,
    cache: PathBuf,
    modules: PathBuf,
    /// Whether anything was built.
    used: bool,
}

impl Workshop {
    fn open(cache: &Cache) -> Result<Self, Error> {
        let output = run::run(
            Command::new("go")
                .args(["env", "GOVERSION"])
                .env("GOTOOLCHAIN", "local"),
        )
        .map_err(|error| no_go(&error))?;
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            version: version.trim().trim_start_matches("go").to_owned(),
            cache: cache.path("go-build"),
            modules: cache.path("go-mod"),
            used: false,
        })
    }

    fn go(&self) -> Command {
        let mut command = Command::new("go");
        command
            .env("GOFLAGS", "-buildvcs=false")
            .env("GOTOOLCHAIN", "local")
            .env("GOCACHE", &self.cache)
            .env("GOMODCACHE", &self.modules);
        command
    }
}

/// Returns the directory of the component's programs, built if it is not there.
pub(super) fn ensure(
    cache: &Cache,
    name: &'static str,
    shop: &mut Option<Workshop>,
    say: Say<'_>,
) -> Result<PathBuf, Error> {
    let module = MODULES
        .iter()
        .find(|module| module.name == name)
        .ok_or_else(|| unknown(name))?;
    let workshop = match shop {
        Some(workshop) => workshop,
        None => shop.insert(Workshop::open(cache)?),
    };
    let entry = format!("components/{name}-{}", key(module, &workshop.version));
    if cache.has(&entry) {
        return Ok(cache.path(&entry));
    }
    let _one_at_a_time = cache.lock("go")?;
    cache.entry(&entry, |staging| {
        workshop.used = true;
        build(module, workshop, staging, say)
    })
}

/// Deletes the Go caches, unless `AIRGAP_LAB_KEEP_GOCACHE` says that somebody builds often.
pub(super) fn clean(workshop: &Workshop, say: Say<'_>) -> Result<(), Error> {
    if !workshop.used || std::env::var_os("AIRGAP_LAB_KEEP_GOCACHE").is_some_and(|value| value == "1") {
        return Ok(());
    }
    say("deleting the Go caches of the builds");
    // The module cache is read-only on purpose, so only go itself removes it simply.
    run::run(workshop.go().args(["clean", "-cache", "-modcache"])).map(|_| ())
}

fn key(module: &Module, go: &str) -> String {
    let cgo = if module.cgo { "cgo" } else { "" };
    let flags = format!("{} {} {cgo}", module.stamp, module.tags);
    cache::key(&[
        module.go_mod,
        module.go_sum,
        module.tools,
        &flags,
        go,
        std::env::consts::ARCH,
    ])
}

fn build(module: &Module, workshop: &Workshop, staging: &Path, say: Say<'_>) -> Result<(), Error> {
    let wanted = needed(module.go_mod);
    if numbers(&workshop.version) < numbers(wanted) {
        return Err(Error::Missing {
            what: format!(
                "Go {wanted} or newer for {} (`go` is {})",
                module.name, workshop.version
            ),
            hint: GET_GO.to_owned(),
        });
    }
    let begun = Instant::now();
    say(&format!("building {} with Go {}", module.name, workshop.version));
    let source = staging.join(".source");
    fs::create_dir(&source).map_err(Error::file("making", &source))?;
    for (name, text) in [
        ("go.mod", module.go_mod),
        ("go.sum", module.go_sum),
        ("tools.go", module.tools),
    ] {
        let path = source.join(name);
        fs::write(&path, text).map_err(Error::file("writing", &path))?;
    }
    let mut command = workshop.go();
    command
        .current_dir(&source)
        .env("CGO_ENABLED", if module.cgo { "1" } else { "0" })
        .args([
            "build",
            "-trimpath",
            "-ldflags",
            &format!("-s -w{}", module.stamp),
        ]);
    if !module.tags.is_empty() {
        command.args(["-tags", module.tags]);
    }
    // A trailing slash: programs go into the directory under the names of their packages.
    command
        .arg("-o")
        .arg(staging.join(""))
        .args(packages(module.tools));
    tool::long(&mut command, module.name, say)?;
    for (from, to) in module.renamed {
        let path = staging.join(to);
        fs::rename(staging.join(from), &path).map_err(Error::file("naming", &path))?;
    }
    fs::remove_dir_all(&source).map_err(Error::file("removing", &source))?;
    say(&format!(
        "built {} in {} s",
        module.name,
        begun.elapsed().as_secs()
    ));
    Ok(())
}

fn no_go(error: &Error) -> Error {
    Error::Missing {
        what: format!("Go, which builds the lab's components ({error})"),
        hint: GET_GO.to_owned(),
    }
}

/// Returns the packages that tools.go imports: they are the programs to build, unless it is a program itself.
fn packages(tools: &str) -> Vec<&str> {
    if tools.lines().any(|line| line == "package main") {
        return vec!["."];
    }
    let lines = tools.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix("_ \"")?.strip_suffix('"'))
        .collect()
}

/// Returns the Go version that go.mod asks for.
fn needed(go_mod: &str) -> &str {
    go_mod
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap_or("1.26")
        .trim()
}

/// Returns the numbers of a version, `1.26.8` or `1.27rc1`, so that they compare as numbers.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_names_its_programs_and_its_go() {
        for module in &MODULES {
            assert!(!packages(module.tools).is_empty(), "{}", module.name);
            assert!(numbers(needed(module.go_mod)) >= vec![1, 26], "{}", module.name);
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.26.8") < numbers("1.26.10"));
        assert!(numbers("1.26") < numbers("1.26.7"));
        assert!(numbers("1.9") < numbers("1.26"));
    }

    #[test]
    fn the_stamp_is_the_version_of_the_module() {
        let kubernetes = MODULES.iter().find(|module| module.name == "kubernetes").unwrap();
        assert!(kubernetes.go_mod.contains("k8s.io/kubernetes v1.37.2"));
        assert!(kubernetes.stamp.contains("gitVersion=v1.37.2"));
    }
}
