//! Signatures: made by `build --sign` and `sign`, taken by `check` and `inspect` and by the programs of others.

use std::fs;
use std::process::{Command, Stdio};

use crate::images::simple;
use crate::sandbox::{Finished, Sandbox};

/// Makes a key pair of OpenSSH's.
pub(crate) fn keygen(sandbox: &Sandbox, name: &str, kind: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-f", name]);
    assert!(command.current_dir(sandbox.path("")).status().unwrap().success());
}

#[test]
fn a_bundle_is_signed_as_it_is_built_or_beside_and_opened_only_with_the_right_key() {
    let sandbox = Sandbox::new();
    let _ = simple(sandbox.path("image"), &[vec![7; 300_000]]);
    sandbox.spec("images: [{name: 'docker.io/library/app:1', archive: image}]\nserial: 7\ncreated: 2026-11-30T09:00:00Z\n");
    for (name, kind, passphrase) in [("maker", "ed25519", "hunter2"), ("other", "ecdsa", "")] {
        keygen(&sandbox, name, kind, passphrase);
    }
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        Finished::from(
            command
                .env("BUNDLER_SIGN_PASSPHRASE", "hunter2")
                .output()
                .unwrap(),
        )
    };
    let built = run(&["build", "-o", "site.tar", "--sign", "maker"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let first = sandbox.archive();
    assert_eq!(run(&["build", "-o", "site.tar", "--sign", "maker"]).code, Some(0));
    assert_eq!(sandbox.archive(), first, "a signed build is the same bytes again");
    let inspected = run(&["inspect", "site.tar", "--json"]).json();
    assert_eq!(
        (&inspected["signed"], &inspected["verified"]),
        (&true.into(), &false.into())
    );
    assert_eq!(inspected["index"]["serial"], 7);
    assert_eq!(inspected["index"]["created"], "2026-11-30T09:00:00Z");
    assert!(
        run(&["inspect", "site.tar"])
            .stdout
            .contains("signed, not verified")
    );
    let verified = run(&["inspect", "site.tar", "--json", "--key", "maker.pub"]).json();
    assert_eq!(
        (&verified["signature"], &verified["verified"]),
        (&"verified".into(), &true.into())
    );
    assert!(
        run(&["check", "site.tar", "--key", "maker.pub"])
            .stdout
            .contains("signed by SHA256:")
    );
    let refused = run(&["check", "site.tar", "--key", "other.pub"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stdout);
    // OpenSSH takes it, out of the archive as tar unpacks it.
    fs::create_dir(sandbox.path("site")).unwrap();
    let tar = |arguments: &[&str]| {
        Command::new("tar")
            .args(arguments)
            .current_dir(sandbox.path("site"))
            .status()
    };
    assert!(tar(&["-xf", "../site.tar"]).unwrap().success());
    let public = fs::read_to_string(sandbox.path("maker.pub")).unwrap();
    sandbox.write("signers", format!("maker {public}").as_bytes());
    let mut verify = Command::new("ssh-keygen");
    verify.args([
        "-Y",
        "verify",
        "-f",
        "../signers",
        "-I",
        "maker",
        "-n",
        "bundle",
        "-s",
        "bundle.json.sig",
    ]);
    verify.current_dir(sandbox.path("site")).stdin(Stdio::from(
        fs::File::open(sandbox.path("site/bundle.json")).unwrap(),
    ));
    assert!(verify.output().unwrap().status.success());
    assert!(
        run(&["check", "site", "--key", "signers"])
            .stdout
            .contains("signed by maker (SHA256:")
    );
    // Beside: by somebody else.
    let signed = run(&["sign", "site.tar", "--key", "other", "--json"]).json();
    assert_eq!(signed["signature"], "site.tar.sig");
    for key in ["maker.pub", "other.pub"] {
        assert_eq!(run(&["check", "site.tar", "--key", key]).code, Some(0), "{key}");
    }
    // What is no signature is not written over, and an unsigned bundle is one with its signature beside it.
    assert_eq!(run(&["build", "-o", "bare.tar"]).code, Some(0));
    assert_eq!(run(&["check", "bare.tar", "--key", "maker.pub"]).code, Some(3));
    sandbox.write("bare.tar.sig", b"abc");
    assert_eq!(run(&["sign", "bare.tar", "--key", "maker"]).code, Some(64));
    assert_eq!(fs::read(sandbox.path("bare.tar.sig")).unwrap(), b"abc");
    assert_eq!(run(&["inspect", "bare.tar", "--json"]).json()["signed"], false);
    fs::remove_file(sandbox.path("bare.tar.sig")).unwrap();
    assert_eq!(run(&["sign", "bare.tar", "--key", "maker"]).code, Some(0));
    assert_eq!(run(&["check", "bare.tar", "--key", "maker.pub"]).code, Some(0));
    // Without a terminal and without the variable nobody can be asked.
    let mut mute = Command::new("setsid");
    let program = sandbox.command(&["sign", "bare.tar", "--key", "maker"]);
    mute.arg("-w")
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(sandbox.path(""));
    let mute = mute.output().unwrap();
    assert_eq!(mute.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&mute.stderr).contains("passphrase"));
}

#[test]
fn what_lies_in_the_place_of_a_signature_is_told_and_not_masked() {
    let sandbox = Sandbox::new();
    let _ = simple(sandbox.path("image"), &[vec![7; 3000]]);
    sandbox.spec("images: [{name: 'app:1', archive: image}]\n");
    sandbox.build(&[]);
    sandbox.write("site.tar.sig", b"abc");
    for (command, key) in [("check", false), ("inspect", false), ("check", true)] {
        keygen(&sandbox, &format!("key-{command}-{key}"), "ed25519", "");
        let public = format!("key-{command}-{key}.pub");
        let trust: &[&str] = if key { &["--key", &public] } else { &[] };
        let said = sandbox.run(&[&[command, "site.tar"], trust].concat());
        assert_eq!(said.code, Some(if key { 3 } else { 0 }));
        let said = said.stdout + &said.stderr;
        assert!(said.contains("it begins neither as OpenSSH's nor"), "{said}");
        assert!(said.contains("site.tar.sig"), "{said}");
    }
}
