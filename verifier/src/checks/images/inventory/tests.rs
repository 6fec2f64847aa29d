//! What is said of a host that holds what it should, and of each thing that is otherwise.

use bundle::{Digest, Index};

use super::*;
use crate::certs::Standing;
use crate::checks::images::testing::{NGINX, index, reply};
use crate::checks::testing::{expect, site};
use crate::findings::{Outcome, Severity};
use crate::protocol::RunningImage;
use crate::site::Images;

type Found = Vec<(String, String)>;

fn judged_with(images: Images, index: Option<&Index>, facts: &ImageStoreReply) -> Found {
    let mut site = site();
    site.expect.images = images;
    let expect = Expect {
        index,
        ..expect(&site, "node-0")
    };
    let findings = Inventory::judge(facts, &expect).unwrap();
    findings
        .iter()
        .map(|finding| {
            let subject = finding.subject.as_deref().unwrap_or_default();
            (finding.cause.id().name().to_owned(), subject.to_owned())
        })
        .collect()
}

fn judged(change: impl FnOnce(&mut ImageStoreReply)) -> Found {
    let mut facts = reply();
    change(&mut facts);
    judged_with(Images::Any, Some(&index()), &facts)
}

fn found(cause: &str) -> Found {
    vec![(cause.to_owned(), NGINX.to_owned())]
}

/// Takes nginx out of what the CRI lists and out of the store.
fn remove(facts: &mut ImageStoreReply) {
    facts.images.remove(0);
    facts.store.as_mut().unwrap().images.remove(0);
}

#[test]
fn a_host_that_holds_the_bundle_passes_whatever_else_is_there() {
    assert_eq!(judged(|_| {}), []);
}

#[test]
fn an_image_that_is_not_there_is_told_with_where_it_is_instead() {
    assert_eq!(judged(remove), found("image-missing"));
    let elsewhere = |facts: &mut ImageStoreReply| {
        remove(facts);
        let others = &mut facts.store.as_mut().unwrap().others;
        others.insert(
            "default".to_owned(),
            vec![(NGINX.to_owned(), "sha256:00".to_owned())],
        );
    };
    assert_eq!(judged(elsewhere), found("image-other-namespace"));
    let by_content = |facts: &mut ImageStoreReply| {
        remove(facts);
        let others = &mut facts.store.as_mut().unwrap().others;
        let digest = Digest::of("index").to_string();
        others.insert("moby".to_owned(), vec![("x:1".to_owned(), digest)]);
    };
    assert_eq!(judged(by_content), found("image-other-namespace"));
    assert_eq!(
        judged(|facts| facts.images[0].tags.clear()),
        found("image-unlisted"),
        "the store still has the record"
    );
    let unnamed = |facts: &mut ImageStoreReply| {
        facts.images[0].tags.clear();
        facts.store.as_mut().unwrap().images[0].names.clear();
    };
    assert_eq!(judged(unnamed), found("image-name-missing"));
}

#[test]
fn another_content_under_a_right_name_is_told_and_is_no_extra_image() {
    let other = |facts: &mut ImageStoreReply| {
        facts.images[0].id = Digest::of("else").to_string();
        facts.images[0].digests.clear();
    };
    assert_eq!(judged(other), found("image-wrong"));
    let facts = {
        let mut facts = reply();
        facts.images.truncate(1);
        other(&mut facts);
        facts
    };
    let exact = judged_with(Images::Exact, Some(&index()), &facts);
    assert_eq!(exact, found("image-wrong"));
}

#[test]
fn another_platform_is_told_as_such_however_it_shows() {
    let of_the_bundle = |facts: &mut ImageStoreReply| {
        facts.images[0].id = Digest::of("config of arm64").to_string();
    };
    assert_eq!(judged(of_the_bundle), found("image-other-platform"));
    let by_its_configuration = |facts: &mut ImageStoreReply| {
        let id = Digest::of("else").to_string();
        facts.images[0].id.clone_from(&id);
        let stored = &mut facts.store.as_mut().unwrap().images[0];
        (stored.id, stored.platform) = (Some(id), Some("linux/s390x".to_owned()));
    };
    assert_eq!(judged(by_its_configuration), found("image-other-platform"));
    let unlisted = |facts: &mut ImageStoreReply| {
        facts.images.remove(0);
        let stored = &mut facts.store.as_mut().unwrap().images[0];
        (stored.id, stored.offers) = (None, vec!["linux/s390x".to_owned()]);
    };
    assert_eq!(judged(unlisted), found("image-other-platform"));
}

#[test]
fn an_image_must_be_pinned_and_found_by_its_digest() {
    assert_eq!(
        judged(|facts| facts.images[0].pinned = false),
        found("image-unpinned")
    );
    assert_eq!(
        judged(|facts| facts.images[0].digests.clear()),
        found("image-name-missing")
    );
    let old = |facts: &mut ImageStoreReply| {
        facts.version = "1.6.20".to_owned();
        facts.images.iter_mut().for_each(|image| image.pinned = false);
    };
    assert_eq!(
        judged(old),
        [("pins-unknown".to_owned(), "containerd".to_owned())]
    );
}

#[test]
fn what_no_bundle_has_is_a_note_and_a_failure_where_the_site_is_exact() {
    let exact = |facts: &ImageStoreReply| judged_with(Images::Exact, Some(&index()), facts);
    let other = "example.org/other:1".to_owned();
    assert_eq!(exact(&reply()), [("image-extra".to_owned(), other.clone())]);
    let mut running = reply();
    running.running.push(RunningImage {
        image: running.images[1].id.clone(),
        pod: "default/other".to_owned(),
        container: "other".to_owned(),
    });
    assert_eq!(exact(&running), [("image-unbundled".to_owned(), other.clone())]);
    assert_eq!(judged_with(Images::Any, Some(&index()), &running), []);
    let mut sandbox = reply();
    sandbox.sandbox_image = Some(other.clone());
    assert_eq!(exact(&sandbox), [("image-unbundled".to_owned(), other)]);
    let mut moving = reply();
    moving.images.truncate(1);
    let latest = "docker.io/library/nginx:latest".to_owned();
    moving.images[0].tags.push(latest.clone());
    assert_eq!(exact(&moving), [("image-mutable-tag".to_owned(), latest)]);
    assert_eq!(judged_with(Images::Any, Some(&index()), &moving), []);
}

#[test]
fn without_a_bundle_nothing_is_missing_or_extra() {
    assert_eq!(judged_with(Images::Exact, None, &reply()), []);
    assert_eq!(judged_with(Images::Any, None, &ImageStoreReply::default()), []);
}

#[test]
fn of_several_bundles_any_content_of_a_name_will_do() {
    let mut both = index();
    let mut newer = both.images[0].clone();
    newer.digest = Digest::of("newer index");
    newer
        .platforms
        .iter_mut()
        .for_each(|one| one.config = Digest::of("newer"));
    both.images.insert(0, newer);
    assert_eq!(judged_with(Images::Any, Some(&both), &reply()), []);
}

#[test]
fn a_container_whose_image_is_gone_is_told_by_its_id_alone() {
    let runs = |image: &str| {
        let image = image.to_owned();
        move |facts: &mut ImageStoreReply| {
            facts.running.push(RunningImage {
                image,
                pod: "default/a".to_owned(),
                container: "a".to_owned(),
            });
        }
    };
    let id = Digest::of("gone").to_string();
    assert_eq!(judged(runs(&id)), [("image-unheld".to_owned(), id)]);
    // Other runtimes refer to images in forms of their own.
    assert_eq!(judged(runs("docker://something")), []);
}

#[test]
fn cri_o_leaves_the_prefix_of_ids_out_and_has_no_store() {
    let mut facts = reply();
    facts.runtime = "cri-o".to_owned();
    facts.store = None;
    for image in &mut facts.images {
        image.id = image.id.strip_prefix("sha256:").unwrap().to_owned();
    }
    facts.running.push(RunningImage {
        image: format!("docker.io/library/nginx@{}", Digest::of("index")),
        pod: "default/nginx".to_owned(),
        container: "nginx".to_owned(),
    });
    assert_eq!(judged_with(Images::Any, Some(&index()), &facts), []);
    let site = site();
    let index = index();
    let expect = Expect {
        index: Some(&index),
        ..expect(&site, "node-0")
    };
    let listed = Inventory::images(&facts, &expect);
    assert_eq!(listed.totals, None);
    assert_eq!(listed.images[0].used_by[0].as_str(), "default/nginx/nginx");
}

#[test]
fn the_list_has_what_is_there_what_is_missing_and_how_it_stands() {
    let site = site();
    let index = index();
    let expect = Expect {
        index: Some(&index),
        ..expect(&site, "node-0")
    };
    let mut facts = reply();
    facts.images[0].pinned = false;
    let listed = Inventory::images(&facts, &expect);
    let of = |place: usize| &listed.images[place];
    assert_eq!(
        (of(0).standing, &of(0).causes[..]),
        (Standing::Fail, &["image-unpinned".to_owned()][..])
    );
    assert_eq!(
        (of(0).bundled, of(0).blobs, of(0).snapshots),
        (Some(true), Some(110), Some(300))
    );
    assert_eq!((of(1).standing, of(1).bundled), (Standing::Note, Some(false)));
    let totals = listed.totals.unwrap();
    assert_eq!((totals.removable, totals.freed), (1, 10 + 50 + 150));
    remove(&mut facts);
    let listed = Inventory::images(&facts, &expect);
    let missing = listed.images.last().unwrap();
    assert_eq!(
        (missing.names[0].as_str(), missing.standing),
        (NGINX, Standing::Fail)
    );
    let shown = Inventory::evidence(&facts, &expect);
    assert!(shown.len() == 3, "{shown:?}");
    assert_eq!(Outcome::Fail, Severity::Fail.outcome());
}
