//! Loads into real containerds, one version after another. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod daemon;
mod hosts;
mod read;
mod sample;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use bundle::Digest;
use tokio::io::AsyncWriteExt as _;
use verifier::host::SocketError;
use verifier::host::containerd::{Error, load, missing};
use verifier::protocol::{COMMIT, LoadReply, MissingReply};

use daemon::Daemon;
use sample::{Sample, layer};

/// Runs every case on every version.
macro_rules! versions {
    ($($version:ident: $component:literal),*) => {
        $(mod $version {
            #[tokio::test(flavor = "multi_thread")]
            async fn loaded_images_are_found_by_tag_digest_and_id_also_after_a_restart() {
                crate::found($component).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_second_load_writes_nothing() {
                crate::second($component).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn wrong_bytes_are_refused_and_nothing_is_left() {
                crate::wrong_bytes($component).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn an_interrupted_load_leaves_nothing_and_the_next_one_completes() {
                crate::interrupted($component).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn an_image_that_is_not_what_the_index_says_is_refused() {
                crate::lies($component).await;
            }
        })*
    };
}

versions!(v1_6: "containerd-1.6", v1_7: "containerd-1.7", v2_1: "containerd-2.1", v2_4: "containerd");

async fn loaded(daemon: &Daemon, sample: &Sample) -> LoadReply {
    let plan = sample.plan(daemon.socket());
    let (send, bytes) = sample.stream(&plan);
    load(&plan, &send, &mut bytes.as_slice()).await.unwrap()
}

async fn found(component: &str) {
    let sample = Sample::two_images(3 << 20);
    let mut daemon = Daemon::start(component).await;
    let plan = sample.plan(daemon.socket());
    let before = missing(&plan).await.unwrap();
    let all: BTreeSet<Digest> = plan.blobs().into_keys().collect();
    assert_eq!(before.blobs.iter().copied().collect::<BTreeSet<_>>(), all);
    assert!(before.need > 3 << 20, "{before:?}");

    let reply = loaded(&daemon, &sample).await;
    assert_eq!(
        reply.layers_unpacked, 3,
        "shared layers are unpacked once: {reply:?}"
    );
    let names: Vec<_> = plan.images.iter().map(|image| image.name.clone()).collect();
    assert_eq!(reply.images_written, names);
    // Debian's 1.6.20 is older than the pin label.
    let knows_pins = component != "containerd-1.6";
    assert_eq!(reply.not_pinned, if knows_pins { Vec::new() } else { names });

    for restart in [false, true] {
        if restart {
            daemon.restart().await;
        }
        for image in &plan.images {
            let (repository, _) = image.name.rsplit_once(':').unwrap();
            let by_digest = format!("{repository}@{}", image.target.digest);
            let id = image.config.digest.to_string();
            for reference in [&image.name, &by_digest, &id] {
                let found = daemon.image(reference).await;
                let found = found.unwrap_or_else(|| panic!("{reference} is not found (restart: {restart})"));
                assert_eq!(found.id, id);
                assert_eq!(found.tags, std::slice::from_ref(&image.name));
                assert_eq!(found.digests, std::slice::from_ref(&by_digest));
                assert_eq!(found.pinned, knows_pins, "restart: {restart}");
                assert_eq!(found.platform, Some(bundle::Platform::current().to_string()));
            }
        }
    }
    assert_eq!(daemon.cri().await.images().await.unwrap().len(), 2);
    assert_eq!(daemon.ctr(&["leases", "ls", "-q"]), Vec::<String>::new());
    files(&daemon, &plan.images[0].name, &["etc/kept", "etc/top", "noise"]);
    files(&daemon, &plan.images[1].name, &["etc/kept", "noise", "opt/new"]);
}

/// Checks that the unpacked image has exactly these files.
fn files(daemon: &Daemon, image: &str, expected: &[&str]) {
    let at = daemon.directory.path().join(Digest::of(image).hex());
    std::fs::create_dir_all(&at).unwrap();
    daemon.ctr(&["images", "mount", image, &at.display().to_string()]);
    let output = Command::new("find")
        .arg(&at)
        .args(["-type", "f", "-printf", "%P\\n"])
        .output()
        .unwrap();
    let mut found: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    found.sort_unstable();
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    assert_eq!(found, expected, "{image}");
}

async fn second(component: &str) {
    let sample = Sample::two_images(1 << 20);
    let daemon = Daemon::start(component).await;
    loaded(&daemon, &sample).await;
    let held = daemon.holds();
    let plan = sample.plan(daemon.socket());
    let again = missing(&plan).await.unwrap();
    assert_eq!(
        (again.blobs, again.images, again.need),
        (Vec::new(), Vec::new(), 0)
    );
    let reply = load(&plan, &[], &mut [COMMIT].as_slice()).await.unwrap();
    assert_eq!(
        (reply.blobs_written, reply.bytes_written, reply.layers_unpacked),
        (0, 0, 0)
    );
    assert_eq!(reply.images_written, Vec::<String>::new());
    assert_eq!(daemon.holds(), held);

    // A record that was lost comes back without a blob being sent.
    daemon.ctr(&["images", "rm", "--sync", &plan.images[0].name]);
    let lost = missing(&plan).await.unwrap();
    assert_eq!(
        (lost.blobs, lost.images),
        (Vec::new(), vec![plan.images[0].name.clone()])
    );
    let reply = load(&plan, &[], &mut [COMMIT].as_slice()).await.unwrap();
    assert_eq!(reply.images_written, [plan.images[0].name.clone()]);
    assert_eq!(daemon.holds(), held);
    read::proven(&daemon, &plan).await;
    assert_eq!(daemon.holds(), held, "a look leaves nothing");
}

async fn wrong_bytes(component: &str) {
    let sample = Sample::two_images(1 << 20);
    let daemon = Daemon::start(component).await;
    let plan = sample.plan(daemon.socket());
    let (send, good) = sample.stream(&plan);
    let largest = send.iter().max_by_key(|blob| blob.size).unwrap();
    let start: u64 = send
        .iter()
        .take_while(|blob| *blob != largest)
        .map(|blob| blob.size)
        .sum();
    let mut bad = good.clone();
    bad[usize::try_from(start + largest.size / 2).unwrap()] ^= 1;
    let error = load(&plan, &send, &mut bad.as_slice()).await.unwrap_err();
    assert!(
        matches!(error, Error::WrongBytes { digest, .. } if digest == largest.digest),
        "{error:?}"
    );
    assert_eq!(daemon.holds(), Vec::<String>::new());

    let mut unconfirmed = good.clone();
    unconfirmed.pop();
    let error = load(&plan, &send, &mut unconfirmed.as_slice()).await.unwrap_err();
    assert!(matches!(error, Error::NotConfirmed), "{error:?}");
    assert_eq!(daemon.holds(), Vec::<String>::new());
}

async fn interrupted(component: &str) {
    let sample = Sample::two_images(3 << 20);
    let daemon = Daemon::start(component).await;
    let plan = sample.plan(daemon.socket());
    let (send, bytes) = sample.stream(&plan);
    let cut = bytes.len() / 2;
    let error = load(&plan, &send, &mut &bytes[..cut]).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    assert_eq!(daemon.holds(), Vec::<String>::new());

    // Killed in the middle: the load is dropped, and a lease of a process that is gone is there too.
    daemon.ctr(&[
        "leases",
        "create",
        "--id",
        "dead",
        "verifier/holder=some-boot 1 1",
    ]);
    let (mut sender, mut receiver) = tokio::io::duplex(1 << 20);
    let half = bytes[..cut].to_vec();
    let sending = tokio::spawn(async move {
        sender.write_all(&half).await.unwrap();
        sender
    });
    {
        let load = load(&plan, &send, &mut receiver);
        tokio::pin!(load);
        let begun = tokio::time::sleep(std::time::Duration::from_secs(1));
        tokio::select! {
            ended = &mut load => panic!("{ended:?}"),
            () = begun => {}
        }
    }
    drop(sending);
    assert!(daemon.image(&plan.images[0].name).await.is_none());
    let reply = loaded(&daemon, &sample).await;
    assert_eq!(reply.images_written.len(), 2);
    assert_eq!(missing(&plan).await.unwrap().images, Vec::<String>::new());
    let leases = daemon.ctr(&["leases", "ls", "-q"]);
    assert!(!leases.contains(&"dead".to_owned()), "{leases:?}");
}

async fn lies(component: &str) {
    let daemon = Daemon::start(component).await;
    let mut sample = Sample::new();
    sample.image("registry.example/a:1", &[&layer(&[("a", b"a")])], false);
    sample.image("registry.example/b:1", &[&layer(&[("b", b"b")])], false);
    let honest = sample.clone();
    let refusal = async |sample: &Sample| {
        let plan = sample.plan(daemon.socket());
        let (send, bytes) = sample.stream(&plan);
        let error = load(&plan, &send, &mut bytes.as_slice()).await.unwrap_err();
        assert_eq!(daemon.holds(), Vec::<String>::new());
        error
    };
    let image = |sample: &mut Sample, change: &dyn Fn(&mut bundle::PlatformImage)| {
        change(&mut sample.index.images[0].platforms[0]);
    };
    image(&mut sample, &|image| {
        image.layers[0].diff_id = Digest::of("other");
    });
    let error = refusal(&sample).await;
    assert!(matches!(error, Error::WrongLayer { .. }), "{error:?}");

    let other = honest.index.images[1].platforms[0].clone();
    sample = honest.clone();
    image(&mut sample, &|image| image.layers.clone_from(&other.layers));
    let error = refusal(&sample).await;
    assert!(matches!(error, Error::Disagrees { .. }), "{error:?}");

    sample = honest.clone();
    image(&mut sample, &|image| image.config = other.config);
    let error = refusal(&sample).await;
    assert!(matches!(error, Error::Disagrees { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_is_told_with_its_figures() {
    let sample = Sample::two_images(8 << 20);
    let daemon = Daemon::on_small_disk("containerd", 4 << 20).await;
    let MissingReply {
        need, room, room_why, ..
    } = missing(&sample.plan(daemon.socket())).await.unwrap();
    assert!(need > 16 << 20, "{need}");
    assert!(room <= 4 << 20, "{room}");
    assert!(room_why.contains("of 4.0 MiB"), "{room_why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_nobody_sends_is_named() {
    let sample = Sample::two_images(100);
    let daemon = Daemon::start("containerd").await;
    let plan = sample.plan(daemon.socket());
    let error = load(&plan, &[], &mut [COMMIT].as_slice()).await.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_says_which_image_its_sandboxes_run_from() {
    for component in ["containerd-1.6", "containerd-1.7", "containerd-2.1", "containerd"] {
        let daemon = Daemon::start(component).await;
        let status = daemon.cri().await.status().await.unwrap();
        assert_eq!(
            status.sandbox_image.as_deref(),
            Some("registry.example/pause:9"),
            "{component}"
        );
        assert_eq!(status.snapshotter.as_deref(), Some("overlayfs"), "{component}");
        assert_eq!(status.runtime, "containerd");
        assert_eq!(status.socket, daemon.socket());
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let sample = Sample::new();
    let error = missing(&sample.plan("/nowhere/containerd.sock".to_owned()))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Socket(SocketError::None { tried }) if Path::new(&tried[0]).ends_with("containerd.sock"))
    );
}
