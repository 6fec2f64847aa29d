//! Registries as tests use them: each answers as it was asked to.

use std::path::Path;
use std::process::Command;

use lab::images;
use lab::registry::{Options, Registry, Storage, Transport, Version};

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-s", "--max-time", "10"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_empty_registry_answers_and_ends_with_its_handle() {
    let options = Options {
        storage: Storage::Empty,
        ..Options::default()
    };
    let registry = Registry::start(&options).unwrap();
    let (address, pid) = (registry.address(), registry.pid());
    assert_eq!(
        curl(&[&format!("http://{address}/v2/_catalog")]).trim(),
        r#"{"repositories":[]}"#
    );
    drop(registry);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn both_registries_take_https_and_logins() {
    for version in [Version::Distribution3, Version::Debian28] {
        let login = Some(("op".to_owned(), "secret".to_owned()));
        let options = Options {
            version,
            transport: Transport::Https,
            storage: Storage::Empty,
            login,
            ..Options::default()
        };
        let registry = Registry::start(&options).unwrap();
        let url = format!("https://{}/v2/", registry.address());
        let ca = registry.ca().unwrap().to_str().unwrap();
        let status = |more: &[&str]| {
            curl(
                &[
                    &["--cacert", ca, "-o", "/dev/null", "-w", "%{http_code}", &url],
                    more,
                ]
                .concat(),
            )
        };
        assert_eq!(status(&[]), "401", "{version:?}");
        assert_eq!(status(&["-u", "op:wrong"]), "401", "{version:?}");
        assert_eq!(status(&["-u", "op:secret"]), "200", "{version:?}");
    }
}

#[test]
fn the_images_are_served_by_both_registries() {
    for version in [Version::Distribution3, Version::Debian28] {
        let registry = Registry::start(&Options {
            version,
            ..Options::default()
        })
        .unwrap();
        for served in images::SERVED {
            let url = format!(
                "http://{}/v2/{}/manifests/{}",
                registry.address(),
                served.repository,
                served.tag
            );
            let accept = format!("Accept: {}", served.media_type);
            let headers = curl(&["-o", "/dev/null", "-D", "-", "-H", &accept, &url]);
            assert!(headers.starts_with("HTTP/1.1 200"), "{url}: {headers}");
            assert!(headers.contains(served.media_type), "{url}: {headers}");
        }
    }
}

#[test]
fn shared_images_are_read_only() {
    let registry = Registry::start(&Options::default()).unwrap();
    let url = format!("http://{}/v2/library/nginx/blobs/uploads/", registry.address());
    assert_eq!(
        curl(&["-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", &url]),
        "405"
    );
}
