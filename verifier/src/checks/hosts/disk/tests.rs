use super::*;
use crate::checks::testing::{expect, judged, site};
use crate::findings::{CauseId, Outcome};

const GIB: u64 = 1 << 30;

fn place(purpose: Purpose, device: u64) -> DiskPlace {
    DiskPlace {
        purpose,
        path: format!("/var/lib/{}", purpose.word()),
        device,
        read_only: false,
        bytes: Left {
            available: 60 * GIB,
            capacity: 100 * GIB,
        },
        inodes: Left {
            available: 900_000,
            capacity: 1_000_000,
        },
        evicts_bytes: 0,
        evicts_inodes: 0,
    }
}

/// A node with one disk and the kubelet's defaults.
fn healthy() -> Facts {
    let kubelet = DiskPlace {
        evicts_bytes: 10 * GIB,
        evicts_inodes: 50_000,
        ..place(Purpose::Kubelet, 1)
    };
    let images = DiskPlace {
        evicts_bytes: 15 * GIB,
        evicts_inodes: 50_000,
        ..place(Purpose::Images, 1)
    };
    Facts {
        disks: DisksReply {
            places: vec![kubelet, images, place(Purpose::Logs, 1)],
            kubelet: Some(DiskLimits {
                image_gc_percent: 85,
                source: "the kubelet's defaults".to_owned(),
                unread: None,
            }),
        },
        unpinned: Vec::new(),
    }
}

fn with(change: impl Fn(&mut DiskPlace)) -> Facts {
    let mut facts = healthy();
    facts.disks.places.iter_mut().for_each(change);
    facts
}

fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
    judged::<HostsDisk>(facts, &expect(&site(), "node-1"))
}

const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);

#[test]
fn a_disk_with_room_passes_and_the_tightest_threshold_of_those_who_share_it_counts() {
    assert_eq!(judge(&healthy()), PASS);
    assert_eq!(judge(&with(|place| place.bytes.available = 17 * GIB)), PASS);
    let near = with(|place| place.bytes.available = 17 * GIB - (1 << 20));
    assert_eq!(judge(&near), (Outcome::Warn, Some(CauseId::DiskNear)));
    let below = with(|place| place.bytes.available = 15 * GIB - 1);
    assert_eq!(judge(&below), (Outcome::Fail, Some(CauseId::DiskEvicts)));
    let found = HostsDisk::judge(&below, &expect(&site(), "node-1")).unwrap();
    assert_eq!(found.len(), 1, "one file system is told once");
}

#[test]
fn small_thresholds_and_small_disks_have_small_margins() {
    // The lab's: 100 MiB of a disk of 252 GiB.
    let mut facts = with(|place| {
        place.evicts_bytes = 100 << 20;
        place.bytes.capacity = 252 * GIB;
        place.bytes.available = 6 * GIB;
    });
    facts.disks.kubelet.as_mut().unwrap().image_gc_percent = 100;
    assert_eq!(judge(&facts), PASS);
    let small = with(|place| {
        place.evicts_bytes = 100 << 20;
        place.bytes.capacity = GIB;
        place.bytes.available = 125 << 20;
    });
    assert_eq!(judge(&small), PASS);
}

#[test]
fn inodes_count_where_the_file_system_counts_them() {
    let below = with(|place| place.inodes.available = 49_999);
    assert_eq!(judge(&below), (Outcome::Fail, Some(CauseId::InodesEvict)));
    let near = with(|place| place.inodes.available = 59_999);
    assert_eq!(judge(&near), (Outcome::Warn, Some(CauseId::InodesNear)));
    let none = with(|place| place.inodes = Left::default());
    assert_eq!(judge(&none), PASS);
}

#[test]
fn a_file_system_that_is_mounted_read_only_fails() {
    let facts = with(|place| place.read_only = place.purpose == Purpose::Images);
    assert_eq!(judge(&facts), (Outcome::Fail, Some(CauseId::DiskReadOnly)));
}

#[test]
fn etcd_and_logs_have_limits_though_no_kubelet_minds_them() {
    let server = |purpose, available| {
        let mut place = place(purpose, 1);
        place.bytes.available = available;
        let facts = Facts {
            disks: DisksReply {
                places: vec![place],
                kubelet: None,
            },
            unpinned: Vec::new(),
        };
        judged::<HostsDisk>(&facts, &expect(&site(), "server"))
    };
    assert_eq!(server(Purpose::Etcd, GIB), PASS);
    assert_eq!(
        server(Purpose::Etcd, GIB - 1),
        (Outcome::Warn, Some(CauseId::DiskLow))
    );
    assert_eq!(
        server(Purpose::Etcd, ETCD - 1),
        (Outcome::Fail, Some(CauseId::DiskFull))
    );
    assert_eq!(
        server(Purpose::Logs, ETCD - 1),
        (Outcome::Warn, Some(CauseId::DiskLow))
    );
    assert_eq!(server(Purpose::Logs, 0), (Outcome::Fail, Some(CauseId::DiskFull)));
}

#[test]
fn images_that_are_about_to_be_deleted_warn_unless_they_are_pinned() {
    let mut facts = with(|place| {
        place.evicts_bytes = 100 << 20;
        place.bytes.available = 17 * GIB;
    });
    assert_eq!(facts.collected().map(|(_, used)| used), Some(83));
    assert_eq!(judge(&facts), PASS);
    facts.unpinned = vec!["docker.io/library/nginx:1.29".to_owned()];
    assert_eq!(judge(&facts), (Outcome::Warn, Some(CauseId::ImagesCollected)));
    facts.disks.kubelet.as_mut().unwrap().image_gc_percent = 100;
    assert!(facts.collected().is_none());
    let roomy = with(|place| place.bytes.available = 18 * GIB + 1);
    assert!(roomy.collected().is_none());
}

#[test]
fn thresholds_that_nobody_could_read_are_no_pass() {
    let mut facts = healthy();
    facts.disks.kubelet.as_mut().unwrap().unread = Some("/var/lib/kubelet/config.yaml".to_owned());
    assert_eq!(judge(&facts), (Outcome::Error, Some(CauseId::DiskUnjudged)));
    // What a threshold says that may be another one is not told either.
    for place in &mut facts.disks.places {
        place.bytes.available = place.bytes.capacity / 20;
    }
    assert_eq!(judge(&facts), (Outcome::Error, Some(CauseId::DiskUnjudged)));
    facts.disks.kubelet = None;
    assert_eq!(judge(&facts), (Outcome::Skip, Some(CauseId::Needs)));
}
