//! The verifier is one static file of at most 25 MB that runs on any Linux of the architecture: tried on the root file
//! systems of Debian 12, Debian testing, and busybox alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Finished, programs};
use lab::cache::Cache;

/// Runs the verifier in a root file system.
fn verifier_in(root: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new("/usr/sbin/chroot");
    command
        .arg(root)
        .arg("/verifier")
        .args(arguments)
        .env_clear()
        .env("PATH", "/bin");
    command.output().expect("chroot").into()
}

/// Puts the verifier into a copy of `root`: hard links would share what is written.
fn with_verifier(root: &Path, dir: &Path, name: &str) -> PathBuf {
    let place = dir.join(name);
    let copied = Command::new("cp").arg("-a").arg(root).arg(&place).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "copy {}",
        root.display()
    );
    fs::copy(programs().verifier, place.join("verifier")).expect("put the verifier there");
    place
}

/// A mirror's copy of testing may be older than its Release file allows; for a root file system to run in it will do.
const VALID: &str = "--aptopt=Acquire::Check-Valid-Until \"false\"";

/// Makes a root file system of a Debian suite, once.
fn debian(suite: &'static str) -> PathBuf {
    let cache = Cache::user().expect("a cache");
    let make = |staging: &Path| {
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap
            .args(["--variant=essential", "--include=libnss-systemd", VALID, suite])
            .arg(staging.join("root"));
        let output = mmdebstrap.output().expect("mmdebstrap");
        assert!(
            output.status.success(),
            "mmdebstrap {suite}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    };
    cache
        .entry(&format!("rootfs-plain-{suite}"), make)
        .expect("a root file system")
        .join("root")
}

#[test]
fn the_programs_are_static_and_the_verifier_is_at_most_25_mb() {
    let size = fs::metadata(programs().verifier).expect("verifier").len();
    assert!(size <= 25_000_000, "verifier has {size} bytes");
    for program in [programs().bundler, programs().verifier] {
        let headers = Command::new("readelf")
            .arg("-lW")
            .arg(&program)
            .output()
            .expect("readelf");
        let headers = String::from_utf8_lossy(&headers.stdout);
        assert!(
            headers.contains("LOAD") && !headers.contains("INTERP"),
            "{}: {headers}",
            program.display()
        );
    }
}

#[test]
fn the_verifier_runs_and_looks_names_up_on_debian_12_testing_and_busybox_alone() {
    let dir = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let busybox = dir.path().join("only-busybox");
    fs::create_dir_all(busybox.join("bin")).expect("bin");
    fs::copy("/bin/busybox", busybox.join("bin/busybox")).expect("Debian's busybox-static");
    let roots = [debian("bookworm"), debian("testing"), busybox];
    for (at, root) in roots.iter().enumerate() {
        let root = with_verifier(root, dir.path(), &format!("root-{at}"));
        fs::create_dir_all(root.join("etc")).expect("etc");
        // The line of most distributions, with modules that a static program cannot load.
        fs::write(
            root.join("etc/nsswitch.conf"),
            "passwd: files systemd sss\nhosts: files myhostname resolve dns\n",
        )
        .expect("nsswitch.conf");
        let version = verifier_in(&root, &["--version"]);
        assert_eq!(
            (version.code, version.stdout.starts_with("verifier ")),
            (Some(0), true),
            "{version:?}"
        );
        let missing = verifier_in(&root, &["check", "/nothing.tar"]);
        assert_eq!(missing.code, Some(2), "{missing:?}");
        assert!(missing.stderr.contains("/nothing.tar"), "{missing:?}");
        let site = "apiVersion: site/v1\nkubeconfig: k\nssh: {user: root, identity: id, knownHosts: known_hosts}\n\
                    hosts:\n  - {name: nowhere, address: localhost, roles: [worker], podCIDRs: [10.200.0.0/24], ssh: {port: 1}}\n";
        fs::write(root.join("site.yaml"), site).expect("site.yaml");
        let keys = verifier_in(&root, &["site", "hostkeys", "--site", "/site.yaml"]);
        assert!(
            keys.code.is_some(),
            "the look-up of a name ended by a signal: {keys:?}"
        );
    }
}
