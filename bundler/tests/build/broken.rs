//! Bad lines: cut, crowded, stalled, altered. What was pulled is kept, and wrong bytes never pass.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::images::{noise, plain_http, push, registry, simple};
use crate::proxy::{Fault, Proxy};
use crate::sandbox::Sandbox;

/// Pushes an image of `size` bytes and writes a spec that pulls it through a proxy.
fn through(sandbox: &Sandbox, fault: Fault, size: usize) -> (lab::registry::Registry, Proxy) {
    let registry = registry();
    let proxy = Proxy::new(registry.address(), fault);
    let (layout, _) = simple(sandbox.path("image"), &[noise(11, size), noise(12, size / 2)]);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let address = proxy.address();
    sandbox.spec(&format!("images: ['{address}/app:1']\n{}", plain_http(address)));
    (registry, proxy)
}

#[test]
fn a_connection_that_is_cut_at_random_bytes_is_resumed() {
    for seed in [1, 2, 3] {
        let sandbox = Sandbox::new();
        let size = 2_000_000;
        let (_registry, proxy) = through(&sandbox, Fault::Cut { seed, most: 500_000 }, size);
        sandbox.build(&[]);
        assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
        assert!(
            proxy.connections() > 6,
            "the line was cut {} times",
            proxy.connections()
        );
        // Resumed, not begun anew: little more came over the line than there is.
        assert!(proxy.bytes() < 3_600_000, "{} bytes", proxy.bytes());
    }
}

#[test]
fn a_registry_that_asks_for_a_pause_gets_it() {
    let sandbox = Sandbox::new();
    let head = "429 Too Many Requests\r\nRetry-After: 2";
    let (_registry, proxy) = through(&sandbox, Fault::Answer { first: 1, head }, 1000);
    sandbox.build(&[]);
    assert!(proxy.first().unwrap().elapsed() >= Duration::from_secs(2));
}

#[test]
fn servers_in_trouble_are_asked_again() {
    let sandbox = Sandbox::new();
    let fault = Fault::Answer {
        first: 3,
        head: "503 Service Unavailable",
    };
    let (_registry, proxy) = through(&sandbox, fault, 1000);
    sandbox.build(&[]);
    assert!(proxy.connections() > 3);
}

#[test]
fn an_interrupted_build_leaves_nothing_and_the_next_continues() {
    let sandbox = Sandbox::new();
    let registry = registry();
    let (layout, _) = simple(sandbox.path("image"), &[noise(13, 4_000_000)]);
    push(&layout, &format!("{}/app:1", registry.address()), &[]);
    let spec = |proxy: &Proxy| {
        let address = proxy.address();
        sandbox.spec(&format!(
            "images: [{{name: 'a.example/app:1', from: '{address}/app:1'}}]\n{}",
            plain_http(address)
        ));
    };
    let stalled = Proxy::new(registry.address(), Fault::Stall { after: 2_000_000 });
    spec(&stalled);
    let mut child = sandbox
        .command(&["build", "-o", "site.tar", "-q"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    // What the journal says counts, not what has come: the build is stopped with all of it kept.
    let kept = || sandbox.begun();
    while kept() < 1_500_000 {
        assert!(
            Instant::now() < deadline,
            "only {} bytes of {} are kept",
            kept(),
            stalled.bytes()
        );
        std::thread::yield_now();
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    sandbox.assert_no_archive();
    let whole = Proxy::new(registry.address(), Fault::Stall { after: u64::MAX });
    spec(&whole);
    sandbox.build(&[]);
    assert!(whole.bytes() < 3_000_000, "{} bytes came again", whole.bytes());
    assert_eq!(sandbox.run(&["check", "site.tar"]).code, Some(0));
}

#[test]
fn altered_bytes_are_refused_with_the_digest() {
    let sandbox = Sandbox::new();
    let (_registry, _proxy) = through(&sandbox, Fault::Flip { longer: 8192 }, 2_500_000);
    let built = sandbox.run(&["build", "-o", "site.tar", "-q"]);
    assert_eq!(built.code, Some(2));
    assert!(
        built.stderr.contains("sent something else than blob sha256:"),
        "{}",
        built.stderr
    );
    sandbox.assert_no_archive();
}
