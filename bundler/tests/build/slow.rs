//! Registries that do not come to an end: each is given up within two minutes, in its own words.

use std::thread;
use std::time::{Duration, Instant};

use bundle::Digest;
use serde_json::json;

use crate::images::{noise, plain_http};
use crate::sandbox::Sandbox;
use crate::server::{Answer, Server};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What such a registry does with its documents and its layer.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// A byte every now and then.
    TrickleManifest,
    TrickleLayer,
    /// One byte, and a cut, each time.
    OneByte,
    /// Other bytes than it says, for ever.
    Lies,
    /// A part that nobody asked for, each time.
    OtherPart,
    /// A page for people instead of the manifest, or of the layer.
    PageForManifest,
    PageForLayer,
    /// The same, without saying how long it is.
    PageWithoutLength,
    /// Two KiB a second.
    Modem,
    /// An error with status 200.
    ErrorForManifest,
    /// "Too many requests", for ever: for longer than anybody waits, or for a while each time.
    Busy,
    BusyAgain,
    /// A layer that has another length.
    OtherLength,
    /// Bytes without end.
    Endless,
}

fn answer(manner: Manner, path: &str, range: Option<&str>) -> Answer {
    let layer = noise(3, 900_000);
    let diff_id = Digest::of(b"never looked at").to_string();
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = config.to_string();
    let blob = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": blob("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar", &layer)]});
    let manifest = Answer::new(200, manifest.to_string()).header("Content-Type", MANIFEST);
    let trickle = Some((1, Duration::from_millis(500)));
    let page =
        Answer::new(200, "<!DOCTYPE html><title>Please log in</title>").header("Content-Type", "text/html");
    if path.contains("/manifests/") {
        return match manner {
            Manner::TrickleManifest => Answer { trickle, ..manifest },
            Manner::PageForManifest => page,
            Manner::ErrorForManifest => {
                Answer::new(200, r#"{"errors":[{"code":"TOOSOON","message":"later"}]}"#)
            }
            Manner::Busy => Answer::new(429, "").header("Retry-After", "400"),
            Manner::BusyAgain => Answer::new(429, "").header("Retry-After", "20"),
            _ => manifest,
        };
    }
    if path.ends_with(&Digest::of(&config).to_string()) {
        return Answer::new(200, config);
    }
    match manner {
        Manner::TrickleLayer => Answer {
            trickle,
            ..Answer::new(200, layer)
        },
        Manner::OneByte => {
            let at: usize = range.map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
            Answer::new(206, layer[at..=at].to_vec())
                .header("Content-Length", (layer.len() - at).to_string())
                .header(
                    "Content-Range",
                    format!("bytes {at}-{}/{}", layer.len() - 1, layer.len()),
                )
        }
        Manner::Lies => Answer::new(200, noise(4, layer.len())),
        Manner::OtherPart => Answer::new(206, layer[..1000].to_vec())
            .header("Content-Length", "900000")
            .header("Content-Range", "bytes 7-1006/900000"),
        Manner::PageForLayer => page,
        Manner::PageWithoutLength => Answer {
            until_closed: true,
            ..page
        },
        Manner::Modem => Answer {
            trickle: Some((200, Duration::from_millis(100))),
            ..Answer::new(200, layer)
        },
        Manner::OtherLength => Answer::new(200, layer[..400_000].to_vec()),
        Manner::Endless => Answer {
            endless: true,
            ..Answer::new(200, layer)
        },
        _ => Answer::new(200, layer),
    }
}

fn run(manner: Manner, words: &str) {
    let server = Server::new(move |asked| {
        answer(
            manner,
            &asked.path,
            asked.headers.get("range").map(String::as_str),
        )
    });
    let (sandbox, address) = (Sandbox::new(), server.address());
    sandbox.spec(&format!("images: ['{address}/x:1']\n{}", plain_http(address)));
    let begun = Instant::now();
    let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert!(
        begun.elapsed() < Duration::from_mins(2),
        "{manner:?}: {:?}",
        begun.elapsed()
    );
    assert_eq!(built.code, Some(2), "{manner:?}: {}", built.stderr);
    assert!(built.stderr.contains(words), "{manner:?}: {}", built.stderr);
    assert!(built.stderr.contains("hint: "), "{manner:?}: {}", built.stderr);
    sandbox.assert_no_archive();
}

#[test]
fn a_registry_that_comes_to_no_end_is_given_up_within_two_minutes_in_its_own_words() {
    let cases = [
        (Manner::TrickleManifest, "is given up"),
        (Manner::TrickleLayer, "is given up"),
        (Manner::OneByte, "the connection broke"),
        (Manner::Lies, "sent something else than blob"),
        (Manner::OtherPart, "ended blob"),
        (Manner::PageForManifest, "with a web page"),
        (Manner::PageForLayer, "with a web page"),
        (Manner::PageWithoutLength, "with a web page"),
        (Manner::Modem, "is given up"),
        (Manner::ErrorForManifest, "status 200: TOOSOON: later"),
        (Manner::Busy, "status 429"),
        (Manner::BusyAgain, "status 429"),
        (Manner::OtherLength, "has 400000 bytes for blob"),
        (Manner::Endless, "sent more than 900000 bytes"),
    ];
    let threads = cases.map(|(manner, words)| thread::spawn(move || run(manner, words)));
    for thread in threads {
        thread.join().unwrap();
    }
}
