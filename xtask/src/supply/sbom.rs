//! The bill of materials of a program, as CycloneDX 1.6: what is linked, where it comes from, under which licence. The
//! same program gives the same bytes: neither a time nor a random number is in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::TARGET;
use super::linked::{self, Crate, output};
use crate::step::TaskError;

/// Libraries that are no crates, as they are on this machine.
pub(crate) struct Toolchain {
    pub(crate) rustc: String,
    pub(crate) glibc: String,
    gcc: String,
}

impl Toolchain {
    /// Asks the tools that build.
    pub(crate) fn here() -> Result<Self, TaskError> {
        let said = |program: &str, arguments: &[&str]| output(Command::new(program).args(arguments));
        let rustc = said("rustc", &["--version"])?;
        let glibc = said("getconf", &["GNU_LIBC_VERSION"])?;
        Ok(Self {
            rustc: rustc.split(' ').nth(1).unwrap_or_default().to_owned(),
            glibc: glibc.trim().trim_start_matches("glibc ").to_owned(),
            gcc: said("gcc", &["-dumpfullversion"])?.trim().to_owned(),
        })
    }

    /// Returns what `--version` says: what no list of crates does.
    pub(crate) fn version(&self) -> String {
        let Self { rustc, glibc, gcc } = self;
        let version = env!("CARGO_PKG_VERSION");
        format!("{version}\nfor {TARGET}, by rustc {rustc} and gcc {gcc}, with glibc {glibc} inside")
    }

    fn components(&self) -> Vec<Value> {
        vec![
            library(
                "rust-std",
                &self.rustc,
                "Apache-2.0 OR MIT",
                "pkg:generic/rust-std",
            ),
            library("glibc", &self.glibc, "LGPL-2.1-or-later", "pkg:generic/glibc"),
            library(
                "libgcc_eh",
                &self.gcc,
                "GPL-3.0-or-later WITH GCC-exception-3.1",
                "pkg:generic/libgcc_eh",
            ),
        ]
    }
}

/// Writes the bill of `program`, which lies in `folder`, beside it.
pub(crate) fn write(program: &str, folder: &Path, toolchain: &Toolchain) -> Result<(), TaskError> {
    let binary = folder.join(program);
    let sum = output(Command::new("sha256sum").arg("--").arg(&binary))?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    let bill = bill(program, sum, toolchain)?;
    let file = folder.join(format!("{program}.cdx.json"));
    let text = serde_json::to_string_pretty(&bill).unwrap_or_default() + "\n";
    fs::write(&file, text).map_err(|source| TaskError::Io {
        what: format!("write {}", file.display()),
        source,
    })
}

fn bill(program: &str, sum: &str, toolchain: &Toolchain) -> Result<Value, TaskError> {
    let crates = linked::crates(program)?;
    let is_program = |one: &&Crate| one.id.0 == program;
    let version = crates.values().find(is_program).map(|one| one.id.1.clone());
    let inside = crates.values().filter(|one| !is_program(one));
    let mut components: Vec<Value> = inside.flat_map(component).collect();
    components.extend(toolchain.components());
    let dependencies = crates.values().map(|one| {
        let uses: Vec<String> = one
            .uses
            .iter()
            .map(|(name, version)| reference(name, version))
            .collect();
        let own = if one.id.0 == program {
            program.to_owned()
        } else {
            reference(&one.id.0, &one.id.1)
        };
        json!({"ref": own, "dependsOn": uses})
    });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": program,
                "name": program,
                "version": version,
                "licenses": [{"expression": "Apache-2.0 OR MIT"}],
                "hashes": [{"alg": "SHA-256", "content": sum}],
                "properties": [{"name": "target", "value": TARGET}],
            },
        },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    }))
}

/// Returns a crate, and the C library inside it where it is known for one.
fn component(one: &Crate) -> Vec<Value> {
    let (name, version) = &one.id;
    let mut value = library(name, version, &one.licence, "");
    match &one.checksum {
        Some(sum) => {
            value["purl"] = json!(reference(name, version));
            value["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
        }
        None => value["licenses"] = json!([{"expression": "Apache-2.0 OR MIT"}]),
    }
    value["bom-ref"] = json!(reference(name, version));
    let mut all = vec![value];
    match (name.as_str(), version.split_once('+')) {
        ("zstd-sys", Some((_, inside))) => {
            let inside = inside.trim_start_matches("zstd.");
            all.push(library("zstd (C)", inside, "BSD-3-Clause", "pkg:generic/zstd"));
        }
        ("ring", _) => {
            let inside = format!("as in ring {version}");
            all.push(library(
                "BoringSSL (parts, C and assembly)",
                &inside,
                "Apache-2.0 AND ISC",
                "",
            ));
        }
        _ => {}
    }
    all
}

fn library(name: &str, version: &str, licence: &str, purl: &str) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": format!("{name} {version}"),
        "name": name,
        "version": version,
        "scope": "required",
        "licenses": [{"expression": licence}],
    });
    if !purl.is_empty() {
        value["purl"] = json!(format!("{purl}@{version}"));
    }
    value
}

/// Returns the package URL of a crate, which also names it inside the bill.
fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}
