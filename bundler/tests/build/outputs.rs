//! What a build may write over, and what lies beside the archive.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::images::simple;
use crate::sandbox::{Finished, Sandbox};

/// A spec over a layout `image`, a file and a manifest of the user.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let _ = simple(sandbox.path("image"), &[vec![7; 30_000]]);
    sandbox.write("note.txt", b"note");
    sandbox.write(
        "deploy/map.yaml",
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    sandbox.write("ca.pem", b"");
    sandbox.spec(
        "images: [{name: 'app:1', archive: image}]\nmanifests: [deploy/*.yaml]\nfiles: [{from: note.txt, to: note.txt}]\n",
    );
    sandbox
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != ".cache").collect();
    names.sort();
    names
}

#[test]
fn no_output_takes_the_place_of_what_the_build_reads() {
    let sandbox = sandbox();
    let key = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", "key"])
        .current_dir(sandbox.path(""))
        .status();
    assert!(key.unwrap().success());
    symlink("bundle.yaml", sandbox.path("linked.yaml")).unwrap();
    let before = names(&sandbox);
    let read = [
        "bundle.yaml",
        "./bundle.yaml",
        "bundle.lock",
        "verifier",
        "note.txt",
        "deploy/map.yaml",
        "key",
    ];
    for output in read {
        let bytes = fs::read(sandbox.path(output)).ok();
        let refused = sandbox.run(&["build", "-o", output, "--sign", "key"]);
        assert_eq!(refused.code, Some(64), "{output}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("this build reads") && refused.stderr.contains("name another file"),
            "{}",
            refused.stderr
        );
        assert_eq!(fs::read(sandbox.path(output)).ok(), bytes, "{output}");
    }
    // Whichever of the two is named, the link's target would be lost, or the link.
    for spec in ["linked.yaml", "bundle.yaml"] {
        let refused = sandbox.run(&["build", "-f", "linked.yaml", "-o", spec]);
        assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    }
    // The checksum file's name counts too.
    fs::rename(sandbox.path("note.txt"), sandbox.path("site.tar.sha256")).unwrap();
    sandbox.spec("images: [{name: 'app:1', archive: image}]\nfiles: [{from: site.tar.sha256, to: n}]\n");
    let refused = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    assert_eq!(fs::read(sandbox.path("site.tar.sha256")).unwrap(), b"note");
    fs::rename(sandbox.path("site.tar.sha256"), sandbox.path("note.txt")).unwrap();
    assert_eq!(names(&sandbox), before);
}

#[test]
fn what_cannot_be_written_is_known_before_anything_is_fetched() {
    let sandbox = sandbox();
    let refused = |output: &str, code, words: &str| {
        let refused = sandbox.run(&["build", "-o", output]);
        assert_eq!(refused.code, Some(code), "{output}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(words) && refused.stderr.contains("hint: "),
            "{}",
            refused.stderr
        );
    };
    refused("-", 64, "standard output");
    refused(&"s".repeat(245), 2, "a shorter file");
    fs::create_dir(sandbox.path("site.tar.sha256")).unwrap();
    refused("site.tar", 2, "site.tar.sha256 cannot be made");
    refused("deploy", 2, "not a directory");
    refused("no/such/site.tar", 2, "No such file");
    assert!(!sandbox.path("bundle.lock").exists());
}

#[test]
fn a_name_that_sha256sum_escapes_is_written_as_it_reads_it() {
    let sandbox = sandbox();
    let name = "si\nte\\.tar";
    assert_eq!(sandbox.run(&["build", "-q", "-o", name]).code, Some(0));
    let sums = format!("{name}.sha256");
    let mut checked = Command::new("sha256sum");
    checked
        .args(["--strict", "-c", &sums])
        .current_dir(sandbox.path(""));
    assert!(checked.output().unwrap().status.success());
    let checked = sandbox.run(&["check", name]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(
        checked.stdout.contains("and the file is what"),
        "{}",
        checked.stdout
    );
}

#[test]
fn a_checksum_file_is_read_as_sha256sum_reads_it_and_beside_a_link_as_beside_its_archive() {
    let sandbox = sandbox();
    sandbox.build(&[]);
    let hex = sandbox.archive().hex();
    let other = "0".repeat(64);
    symlink("site.tar", sandbox.path("latest.tar")).unwrap();
    let check = |sums: String, file: &str| {
        sandbox.write("site.tar.sha256", sums.as_bytes());
        sandbox.run(&["check", file])
    };
    for good in [
        format!("{}  site.tar\r\n", hex.to_uppercase()),
        format!("SHA256 (site.tar) = {hex}\n"),
        format!("{other}  june.tar\n{hex}  site.tar\n"),
    ] {
        for file in ["site.tar", "latest.tar"] {
            let checked = check(good.clone(), file);
            assert_eq!(checked.code, Some(0), "{good}: {}", checked.stderr);
            assert!(
                checked.stdout.contains("and the file is what"),
                "{}",
                checked.stdout
            );
        }
    }
    for (bad, words) in [
        (format!("{hex}  site.tar\n{other}  site.tar\n"), "one SHA-256"),
        (format!("{hex}{other}  site.tar\n"), "one SHA-256"),
        (String::new(), "one SHA-256"),
        (format!("{other}  site.tar\n"), "the file beside it says"),
    ] {
        for file in ["site.tar", "latest.tar"] {
            let checked = check(bad.clone(), file);
            assert_eq!(checked.code, Some(3), "{bad}: {}", checked.stdout);
            assert!(checked.stderr.contains(words), "{}", checked.stderr);
        }
    }
}

#[test]
fn a_signature_of_the_bundle_before_is_told() {
    let sandbox = sandbox();
    let sign = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", "key"])
        .current_dir(sandbox.path(""))
        .status();
    assert!(sign.unwrap().success());
    sandbox.build(&[]);
    assert_eq!(sandbox.run(&["sign", "site.tar", "--key", "key"]).code, Some(0));
    assert_eq!(sandbox.build(&[])["warnings"], serde_json::json!([]));
    sandbox.write("note.txt", b"another note");
    let warnings = sandbox.build(&[])["warnings"].to_string();
    assert!(
        warnings.contains("site.tar.sig lies there from before"),
        "{warnings}"
    );
    let checked: Finished = sandbox.run(&["check", "site.tar", "--key", "key.pub"]);
    assert_eq!(checked.code, Some(3));
    // Reached by a link, it is found beside the archive; and nothing else takes its place.
    assert_eq!(sandbox.run(&["sign", "site.tar", "--key", "key"]).code, Some(0));
    symlink("site.tar", sandbox.path("latest.tar")).unwrap();
    let linked = sandbox.run(&["check", "latest.tar", "--key", "key.pub"]);
    assert_eq!(linked.code, Some(0), "{}", linked.stderr);
}

#[test]
fn a_lock_that_is_a_link_stays_one_and_what_it_leads_to_is_written() {
    let sandbox = sandbox();
    sandbox.write("shared/site.lock", br#"{"version": 1, "images": []}"#);
    symlink("shared/site.lock", sandbox.path("bundle.lock")).unwrap();
    sandbox.build(&[]);
    assert!(sandbox.path("bundle.lock").is_symlink());
    let lock = fs::read_to_string(sandbox.path("shared/site.lock")).unwrap();
    assert!(lock.contains("docker.io/library/app:1"), "{lock}");
    assert_eq!(
        sandbox.run(&["build", "-o", "site.tar", "--locked", "-q"]).code,
        Some(0)
    );
}
