//! Build: from a registry on loopback (plain HTTP), with an empty cache, to one file.

use std::error::Error;
use std::process::{Command, Stdio};

use lab::cache::Cache;
use lab::components::{self, Set};

use super::media::{ALL, Media};
use crate::bench::{Contender, Row, compare};

pub(super) fn row(media: &Media) -> Result<Row, Box<dyn Error>> {
    let peers = components::ensure(&Cache::user()?, &[Set::Peers], &|line| eprintln!("{line}"))?;
    let (crane, regctl) = (
        peers.program("peers", "crane")?,
        peers.program("peers", "regctl")?,
    );
    let (dir, spec) = (media.dir(), media.spec("build", ALL)?);
    let references = media.references().join(" ");
    let clean = || {
        for what in ["cache", "out.tar", "out.tar.sha256", "build.lock", "oci"] {
            let path = dir.join(what);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    };
    let shell = |script: String| {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &script])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let build = || {
        let mut command = media.bundler(&spec, &dir.join("out.tar"));
        command.arg("--quiet").stdout(Stdio::null());
        command
    };
    let skopeo = || {
        let copy = "skopeo --insecure-policy copy --quiet --src-tls-verify=false docker://$r oci:oci:$n";
        shell(format!(
            "n=0; for r in {references}; do n=$((n+1)); {copy}; done; tar -cf out.tar oci"
        ))
    };
    let regctl = || {
        let copy = format!(
            "{} image copy --host reg=${{r%%/*}},tls=disabled $r ocidir://oci:$n",
            regctl.display()
        );
        shell(format!(
            "n=0; for r in {references}; do n=$((n+1)); {copy}; done; tar -cf out.tar oci"
        ))
    };
    let crane = || {
        shell(format!(
            "{} pull --insecure {references} out.tar",
            crane.display()
        ))
    };
    let contenders = [
        Contender {
            name: "bundler build",
            before: Box::new(clean),
            command: Box::new(build),
        },
        Contender {
            name: "skopeo copy, tar",
            before: Box::new(clean),
            command: Box::new(skopeo),
        },
        Contender {
            name: "crane pull",
            before: Box::new(clean),
            command: Box::new(crane),
        },
        Contender {
            name: "regctl image copy, tar",
            before: Box::new(clean),
            command: Box::new(regctl),
        },
    ];
    let row = compare(
        "build: registry on loopback, empty cache, to one file",
        3,
        &contenders,
    );
    clean();
    Ok(row)
}
