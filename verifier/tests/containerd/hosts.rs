//! A bundle to several hosts at once, through agents.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bundle::BundleFile;
use tokio::io::AsyncReadExt as _;
use verifier::carrier::{Agent, local};
use verifier::host::serve;
use verifier::load::{
    Depth, HostError, LoadError, LoadEvent, LoadHost, LoadOptions, LoadResults, Patience, Reading, load,
};

use crate::daemon::Daemon;
use crate::sample::Sample;

fn options(patience: Patience) -> LoadOptions {
    LoadOptions {
        pin: true,
        reading: Reading::AsNeeded,
        depth: Depth::Records,
        keep: BTreeSet::new(),
        patience,
        say: Arc::new(|_| {}),
    }
}

async fn host(name: &str, daemon: &Daemon) -> LoadHost {
    LoadHost {
        name: name.to_owned(),
        agent: local::agent().await.unwrap(),
        socket: Some(daemon.socket()),
        without: BTreeSet::new(),
    }
}

/// What happens to a connection behind its first bytes.
#[derive(Clone, Copy)]
enum End {
    Frozen,
    Cut,
}

/// Returns a host whose connection ends in this way after `limit` bytes towards it.
async fn broken_host(name: &str, daemon: &Daemon, limit: u64, end: End) -> LoadHost {
    let (ours, left) = tokio::io::duplex(1 << 16);
    let (right, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    tokio::spawn(serve(reader, writer));
    let (left_reader, mut left_writer) = tokio::io::split(left);
    let (mut right_reader, mut right_writer) = tokio::io::split(right);
    let back = tokio::spawn(async move { tokio::io::copy(&mut right_reader, &mut left_writer).await });
    tokio::spawn(async move {
        let mut limited = left_reader.take(limit);
        tokio::io::copy(&mut limited, &mut right_writer).await.unwrap();
        match end {
            End::Frozen => std::future::pending().await,
            End::Cut => back.abort(),
        }
    });
    let (reader, writer) = tokio::io::split(ours);
    let agent = Agent::open(reader, writer, (), Duration::from_secs(10))
        .await
        .unwrap();
    LoadHost {
        name: name.to_owned(),
        agent,
        socket: Some(daemon.socket()),
        without: BTreeSet::new(),
    }
}

async fn run(bundle: &BundleFile, hosts: Vec<LoadHost>) -> LoadResults {
    let ended = load(bundle, hosts, &options(Patience::default())).await;
    ended.unwrap().hosts
}

#[tokio::test(flavor = "multi_thread")]
async fn all_hosts_are_loaded_in_one_pass_and_a_second_load_does_not_read_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(3 << 20).write(directory.path());
    let (new, old) = (
        Daemon::start("containerd").await,
        Daemon::start("containerd-1.7").await,
    );
    let bytes = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&bytes);
    let say = move |event: LoadEvent<'_>| {
        if let LoadEvent::Bytes(more) = event {
            *counted.lock().unwrap() += more;
        }
    };
    let options = LoadOptions {
        say: Arc::new(say),
        ..options(Patience::default())
    };
    let hosts = vec![host("node-0", &new).await, host("node-1", &old).await];
    let ended = load(&bundle, hosts.clone(), &options).await.unwrap();
    assert!(ended.verified);
    let results = ended.hosts;
    for name in ["node-0", "node-1"] {
        let loaded = results[name].as_ref().unwrap();
        assert_eq!(loaded.reply.images_written.len(), 2);
        assert!(loaded.reply.bytes_written > 3 << 20);
        assert_eq!(loaded.reply.not_pinned, Vec::<String>::new());
    }
    assert_eq!(*bytes.lock().unwrap(), bundle.index().total_size());
    assert!(new.image("registry.example/one:1").await.is_some());
    assert!(old.image("registry.example:5000/deep/two:2").await.is_some());

    let ended = load(&bundle, hosts, &options).await.unwrap();
    assert!(!ended.verified, "nobody lacked anything");
    assert!(
        ended
            .hosts
            .values()
            .all(|result| result.as_ref().unwrap().reply.blobs_written == 0)
    );
    assert_eq!(*bytes.lock().unwrap(), bundle.index().total_size());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_for_a_host_is_not_brought_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(1 << 20).write(directory.path());
    let (all, some) = (
        Daemon::start("containerd").await,
        Daemon::start("containerd").await,
    );
    let two = "registry.example:5000/deep/two:2";
    let without = LoadHost {
        without: BTreeSet::from([two.to_owned()]),
        ..host("some", &some).await
    };
    let results = run(&bundle, vec![host("all", &all).await, without.clone()]).await;
    assert!(results.values().all(Result::is_ok), "{results:?}");
    assert!(all.image(two).await.is_some() && some.image(two).await.is_none());
    assert!(some.image("registry.example/one:1").await.is_some());
    // It has all that is for it.
    let again = run(&bundle, vec![without]).await;
    assert_eq!(
        again["some"].as_ref().unwrap().missing.images,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_one_id_are_whole_after_one_load() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::two_images(1 << 20);
    sample.twins("registry.example/twin:1", "registry.example/twin:2");
    let bundle = sample.write(directory.path());
    let daemon = Daemon::start("containerd").await;
    let first = run(&bundle, vec![host("node-0", &daemon).await]).await;
    assert_eq!(first["node-0"].as_ref().unwrap().reply.images_written.len(), 4);
    let second = run(&bundle, vec![host("node-0", &daemon).await]).await;
    assert_eq!(
        second["node-0"].as_ref().unwrap().missing.images,
        Vec::<String>::new()
    );
}

/// Returns the files below a directory whose path ends so.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path, ending));
        } else if path.is_file() && path.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_the_disk_is_found_by_reading_and_loaded_once_more() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(1 << 20).write(directory.path());
    for component in ["containerd", "containerd-1.7"] {
        let daemon = Daemon::start(component).await;
        let hosts = || async { vec![host("node-0", &daemon).await] };
        run(&bundle, hosts().await).await["node-0"].as_ref().unwrap();
        // An emptied file, one with another byte, one that is gone; and a blob that was cut.
        let root = daemon.directory.path();
        let kept = files(root, "fs/etc/kept").remove(0);
        std::fs::write(&kept, "").unwrap();
        let noise = files(root, "fs/noise").remove(0);
        let whole = std::fs::read(&noise).unwrap();
        let mut bytes = whole.clone();
        bytes[1000] ^= 1;
        std::fs::write(&noise, &bytes).unwrap();
        let new = files(root, "fs/opt/new").remove(0);
        std::fs::remove_file(&new).unwrap();
        let layer = bundle.index().images[0].platforms[0].layers[2].digest;
        let blob = files(root, &format!("blobs/sha256/{}", layer.hex())).remove(0);
        std::fs::write(&blob, "cut").unwrap();

        let ended = load(&bundle, hosts().await, &options(Patience::default()))
            .await
            .unwrap();
        let records = ended.hosts["node-0"].as_ref().unwrap();
        assert_eq!(
            records.missing.images,
            Vec::<String>::new(),
            "its records are as they were"
        );
        let deep = LoadOptions {
            depth: Depth::Contents,
            ..options(Patience::default())
        };
        let ended = load(&bundle, hosts().await, &deep).await.unwrap();
        let repaired = ended.hosts["node-0"].as_ref().unwrap();
        assert_eq!(
            (repaired.repaired, repaired.proven > 3),
            (3, true),
            "{component}: {repaired:?}"
        );
        let read = |ending: &str| std::fs::read(files(root, ending).remove(0)).unwrap();
        assert_eq!(read("fs/etc/kept"), b"kept");
        assert!(read("fs/noise") == whole && read("fs/opt/new") == b"new");
        assert_eq!(bundle::Digest::of(std::fs::read(&blob).unwrap()), layer);
        let again = load(&bundle, hosts().await, &deep).await.unwrap();
        assert_eq!(again.hosts["node-0"].as_ref().unwrap().repaired, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_leaves_nothing_on_any_host() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(3 << 20).write(directory.path());
    let archive = std::fs::File::options()
        .read(true)
        .write(true)
        .open(bundle.path())
        .unwrap();
    // The last megabyte belongs to some blob; until there all is good and was sent.
    let place = archive.metadata().unwrap().len() - (1 << 20);
    let mut byte = [0];
    archive.read_exact_at(&mut byte, place).unwrap();
    archive.write_all_at(&[byte[0] ^ 1], place).unwrap();
    let (new, old) = (
        Daemon::start("containerd").await,
        Daemon::start("containerd-1.7").await,
    );
    let hosts = vec![host("node-0", &new).await, host("node-1", &old).await];
    let error = load(&bundle, hosts, &options(Patience::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, LoadError::Bundle { source } if source.is_contents()),
        "{error:?}"
    );
    assert_eq!(
        (new.holds(), old.holds()),
        (Vec::<String>::new(), Vec::<String>::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_or_hangs_stops_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(24 << 20).write(directory.path());
    let daemons = [
        Daemon::start("containerd").await,
        Daemon::start("containerd").await,
    ];
    let dying = Daemon::start("containerd").await;
    let patience = Patience {
        stall: Duration::from_secs(3),
        ..Patience::default()
    };
    let hosts = vec![
        host("good", &daemons[0]).await,
        broken_host("dying", &dying, 4 << 20, End::Cut).await,
        broken_host("hanging", &daemons[1], 4 << 20, End::Frozen).await,
    ];
    let results = load(&bundle, hosts, &options(patience)).await.unwrap().hosts;
    assert_eq!(results["good"].as_ref().unwrap().reply.images_written.len(), 2);
    assert!(
        matches!(results["dying"], Err(HostError::Load { .. })),
        "{:?}",
        results["dying"]
    );
    assert!(
        matches!(results["hanging"], Err(HostError::Stalled { .. })),
        "{:?}",
        results["hanging"]
    );

    let again = vec![host("dying", &dying).await];
    assert_eq!(
        run(&bundle, again).await["dying"]
            .as_ref()
            .unwrap()
            .reply
            .images_written
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_is_the_check_too_goes_on_when_nobody_takes_anything_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(24 << 20).write(directory.path());
    let daemon = Daemon::start("containerd").await;
    let whole = LoadOptions {
        reading: Reading::ToTheEnd,
        ..options(Patience::default())
    };
    let dying = || async { vec![broken_host("dying", &daemon, 1 << 20, End::Cut).await] };
    let ended = load(&bundle, dying().await, &whole).await.unwrap();
    assert!(ended.verified && ended.hosts["dying"].is_err());
    // A bundle of the same members whose checksum file is another's.
    let sums = bundle::checksum_file(bundle.path());
    std::fs::write(&sums, format!("{}  other.tar\n", "0".repeat(64))).unwrap();
    let error = load(&bundle, dying().await, &whole).await.unwrap_err();
    assert!(
        matches!(&error, LoadError::Bundle { source } if source.is_contents()),
        "{error:?}"
    );
    // The agent that was cut off cleans up by itself, when it notices.
    let emptied = async {
        while !daemon.holds().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(15), emptied).await;
    assert_eq!(daemon.holds(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_grows_without_end_is_stopped_before_the_disk_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let mut sample = Sample::two_images(1 << 20);
    let bomb = sample.bomb("registry.example/bomb:1", 4 << 30);
    let bundle = sample.write(directory.path());
    let small = Daemon::on_small_disk("containerd", 512 << 20).await;
    let results = run(&bundle, vec![host("small", &small).await]).await;
    let error = cli::chain(results["small"].as_ref().unwrap_err());
    assert!(error.contains("was stopped while it unpacked"), "{error}");
    assert!(
        error.contains(&bomb.to_string()) && error.contains("are left on"),
        "{error}"
    );
    assert_eq!(small.holds(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_too_little_room_gets_no_byte_and_the_others_are_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = Sample::two_images(8 << 20).write(directory.path());
    let small = Daemon::on_small_disk("containerd", 4 << 20).await;
    let large = Daemon::start("containerd").await;
    let results = run(
        &bundle,
        vec![host("small", &small).await, host("large", &large).await],
    )
    .await;
    assert!(results["large"].is_ok());
    let error = results["small"].as_ref().unwrap_err();
    assert!(
        matches!(error, HostError::Room { short, .. } if *short > 8 << 20),
        "{error:?}"
    );
    assert_eq!(small.holds(), Vec::<String>::new());
}
