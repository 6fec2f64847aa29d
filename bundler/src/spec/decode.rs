//! From the nodes of bundle.yaml to a [`Spec`].

use std::collections::{BTreeMap, BTreeSet};

use bundle::nodes::NodePattern;
use bundle::{Created, MemberPath, Platform, SERIAL_LIMIT};
use yaml::{Map, Node, Place, Placed, Problems, Value};

use super::registries::{RegistrySpec, is_host, registry};
use super::{BUILTIN_SMOKE, Crictl, FileSpec, ImageSpec, Source, Spec, VerifierSpec};
use crate::reference::Reference;

const API_VERSION: &str = "bundle/v1";

/// The keys of crictl.yaml (cri-tools, docs/crictl.md) and whether their value is text, a number or a boolean.
const CRICTL: [(&str, CrictlValue); 7] = [
    ("runtime-endpoint", CrictlValue::Text),
    ("image-endpoint", CrictlValue::Text),
    ("timeout", CrictlValue::Number),
    ("debug", CrictlValue::Boolean),
    ("pull-image-on-create", CrictlValue::Boolean),
    ("disable-pull-on-run", CrictlValue::Boolean),
    ("max-retries", CrictlValue::Number),
];

#[derive(Clone, Copy)]
enum CrictlValue {
    Text,
    Number,
    Boolean,
}

/// Decodes a spec. The local paths that it names come in any case, so that those that are missing can be named
/// together with the other problems.
pub(super) fn spec(file: &str, text: &str) -> (Result<Spec, Problems>, Vec<Placed<String>>) {
    let mut paths = Vec::new();
    let spec = yaml::decode(file, text, |node, problems| top(node, problems, &mut paths));
    (spec, paths)
}

fn top(node: &Node, problems: &mut Problems, paths: &mut Vec<Placed<String>>) -> Option<Spec> {
    let mut map = node.map(problems)?;
    let version = map.required("apiVersion", api_version);
    let name = map.required("name", bundle_name);
    let serial = map.optional("serial", serial);
    let created = map.optional("created", yaml::parsed::<Created>);
    let platforms = map.required("platforms", platforms);
    let images = map.required("images", |node, problems| images(node, problems, paths));
    let registries = map.optional("registries", |node, problems| registries(node, problems, paths));
    let smoke = map.optional("smoke", smoke);
    let crictl = map.optional("crictl", crictl);
    let manifests = map.optional("manifests", yaml::list(yaml::placed(yaml::text)));
    let files = map.optional("files", |node, problems| files(node, problems, paths));
    let verifier = map.required("verifier", |node, problems| verifiers(node, problems, paths));
    let wants_smoke = manifests
        .iter()
        .flatten()
        .find(|entry| entry.value == BUILTIN_SMOKE)
        .map(|entry| entry.place);
    if let (Some(images), Some(place)) = (&images, wants_smoke.or(smoke.as_ref().map(|smoke| smoke.place))) {
        check_smoke(&mut map, images, smoke.as_ref(), place);
    }
    let chosen = smoke.as_ref().map(|smoke| smoke.value.clone());
    let chosen = chosen.or_else(|| only_nginx(images.as_ref()?).ok().cloned());
    if let (Some(images), Some(chosen), Some(_)) = (&images, &chosen, wants_smoke)
        && let Some(image) = images
            .iter()
            .find(|image| image.name.value.name() == chosen.name())
        && !image.nodes.is_empty()
    {
        map.problem(
            image.name.place,
            "this is the suite's image, which runs on every node: leave out its nodes",
        );
    }
    map.finish();
    version?;
    let images = images?;
    Some(Spec {
        name: name?,
        serial,
        created,
        platforms: platforms?,
        smoke: wants_smoke.and(chosen),
        images,
        registries: registries.unwrap_or_default(),
        crictl,
        manifests: manifests.unwrap_or_default(),
        files: files.unwrap_or_default(),
        verifier: verifier?,
    })
}

fn api_version(node: &Node, problems: &mut Problems) -> Option<()> {
    let version = yaml::text(node, problems)?;
    if version != API_VERSION {
        problems.add(
            node.place,
            format!("this apiVersion is not known, this program reads {API_VERSION}"),
        );
    }
    Some(())
}

fn bundle_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = yaml::text(node, problems)?;
    let word = |c: char| c.is_ascii_alphanumeric();
    let good =
        name.len() <= 63 && name.starts_with(word) && name.chars().all(|c| word(c) || "._-".contains(c));
    if !good {
        problems.add(
            node.place,
            "the name must have letters, digits, '.', '_' and '-', at most 63",
        );
    }
    good.then_some(name)
}

fn serial(node: &Node, problems: &mut Problems) -> Option<u64> {
    let serial = yaml::unsigned(node, problems)?;
    if serial > SERIAL_LIMIT {
        problems.add(node.place, format!("a serial is at most {SERIAL_LIMIT}"));
        return None;
    }
    Some(serial)
}

fn platform(node: &Node, problems: &mut Problems) -> Option<Platform> {
    let platform = yaml::text(node, problems)?.parse().ok();
    if platform.is_none() {
        problems.add(node.place, "not a platform such as linux/amd64");
    }
    platform
}

fn platforms(node: &Node, problems: &mut Problems) -> Option<Vec<Platform>> {
    let list = yaml::list(yaml::placed(platform))(node, problems)?;
    if list.is_empty() {
        problems.add(
            node.place,
            "the list is empty: name a platform such as linux/amd64",
        );
    }
    let mut seen = BTreeSet::new();
    for platform in &list {
        // Two names of one platform are one.
        if !seen.insert(platform.value.normalized()) {
            problems.add(platform.place, "this platform comes twice");
        }
    }
    let mut platforms: Vec<Platform> = list.into_iter().map(|platform| platform.value).collect();
    platforms.sort();
    Some(platforms)
}

fn images(node: &Node, problems: &mut Problems, paths: &mut Vec<Placed<String>>) -> Option<Vec<ImageSpec>> {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    let decoder = |node: &Node, problems: &mut Problems| {
        let image = image(node, problems, paths)?;
        let (name, place) = (image.name.value.name(), image.name.place);
        if let Some(first) = seen.get(&name) {
            problems.add(
                place,
                format!("this image is named in line {} already", first.line),
            );
        } else {
            seen.insert(name, place);
        }
        Some(image)
    };
    let list = yaml::list(decoder)(node, problems)?;
    if list.is_empty() {
        problems.add(node.place, "the list is empty: name an image");
    }
    Some(list)
}

fn image(node: &Node, problems: &mut Problems, paths: &mut Vec<Placed<String>>) -> Option<ImageSpec> {
    let reference = yaml::parsed::<Reference>;
    if !matches!(node.value, Value::Mapping(_)) {
        let value = reference(node, problems)?;
        return Some(ImageSpec {
            source: Source::Registry(value.clone()),
            name: Placed {
                place: node.place,
                value,
            },
            nodes: Vec::new(),
        });
    }
    let mut map = node.map(problems)?;
    let name = map.required("name", yaml::placed(reference));
    let from = map.optional("from", yaml::placed(reference));
    let archive = map.optional("archive", yaml::placed(yaml::text));
    let nodes = map.optional("nodes", nodes);
    paths.extend(archive.clone());
    if let (Some(_), Some(archive)) = (&from, &archive) {
        map.problem(
            archive.place,
            "an image comes from a registry or from an archive, not from both",
        );
    }
    let has_source = map.has("from") || map.has("archive");
    let valid = !has_source || from.is_some() || archive.is_some();
    map.finish();
    let name = name?;
    let source = match (from, archive) {
        (_, Some(archive)) => Source::Archive(archive),
        (Some(from), None) => Source::Registry(from.value),
        (None, None) => Source::Registry(name.value.clone()),
    };
    valid.then(|| ImageSpec {
        name,
        source,
        nodes: nodes.unwrap_or_default(),
    })
}

/// Decodes which nodes an image is for.
fn nodes(node: &Node, problems: &mut Problems) -> Option<Vec<NodePattern>> {
    let list = yaml::list(yaml::parsed::<NodePattern>)(node, problems)?;
    if list.is_empty() {
        problems.add(
            node.place,
            "the list is empty: name nodes, or leave it out for all of them",
        );
    }
    Some(list)
}

fn registries(
    node: &Node,
    problems: &mut Problems,
    paths: &mut Vec<Placed<String>>,
) -> Option<BTreeMap<String, RegistrySpec>> {
    let decoder = |node: &Node, problems: &mut Problems| registry(node, problems, paths);
    let entries = yaml::entries(decoder)(node, problems)?;
    for (host, _) in &entries {
        if !is_host(&host.value) {
            problems.add(host.place, "not a registry's name such as registry.example:5000");
        }
    }
    Some(
        entries
            .into_iter()
            // Docker Hub has two names; references are written with the first.
            .map(|(host, registry)| (host.value.replace("index.docker.io", "docker.io"), registry))
            .collect(),
    )
}

fn smoke(node: &Node, problems: &mut Problems) -> Option<Placed<Reference>> {
    let mut map = node.map(problems)?;
    let image = map.required("image", yaml::placed(yaml::parsed::<Reference>));
    map.finish();
    image
}

/// Returns the only image whose repository ends in `/nginx`, or how many there are.
fn only_nginx(images: &[ImageSpec]) -> Result<&Reference, usize> {
    let is_nginx = |image: &&ImageSpec| image.name.value.repository().rsplit('/').next() == Some("nginx");
    let mut found = images.iter().filter(is_nginx).map(|image| &image.name.value);
    match (found.next(), found.count()) {
        (Some(only), 0) => Ok(only),
        (Some(_), more) => Err(more + 1),
        (None, _) => Err(0),
    }
}

fn check_smoke(map: &mut Map<'_>, images: &[ImageSpec], smoke: Option<&Placed<Reference>>, wanted: Place) {
    if let Some(smoke) = smoke {
        if !images
            .iter()
            .any(|image| image.name.value.name() == smoke.value.name())
        {
            map.problem(smoke.place, "this image is not among the images");
        }
    } else if let (Err(count), false) = (only_nginx(images), map.has("smoke")) {
        map.problem(
            wanted,
            format!("{count} images have a repository that ends in /nginx: name the suite's with smoke: {{image: ...}}"),
        );
    }
}

fn crictl(node: &Node, problems: &mut Problems) -> Option<Crictl> {
    let mut map = node.map(problems)?;
    let mut settings = Vec::new();
    for (key, kind) in CRICTL {
        let value = match kind {
            CrictlValue::Text => map.optional(key, crictl_text),
            CrictlValue::Number => map
                .optional(key, yaml::unsigned::<u32>)
                .map(|number| number.to_string()),
            CrictlValue::Boolean => map
                .optional(key, yaml::boolean)
                .map(|boolean| boolean.to_string()),
        };
        settings.extend(value.map(|value| (key, value)));
    }
    map.finish();
    Some(Crictl { settings })
}

/// Decodes an endpoint as text that YAML needs no quotes for.
fn crictl_text(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = yaml::text(node, problems)?;
    let good = text.contains("://")
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"\"'#{}[]&*!|>%@`".contains(c));
    if !good {
        problems.add(
            node.place,
            "not an endpoint such as unix:///run/containerd/containerd.sock",
        );
    }
    good.then_some(text)
}

fn files(node: &Node, problems: &mut Problems, paths: &mut Vec<Placed<String>>) -> Option<Vec<FileSpec>> {
    let mut seen = BTreeSet::new();
    let file = |node: &Node, problems: &mut Problems| {
        let mut map = node.map(problems)?;
        let from = map.required("from", yaml::placed(yaml::text));
        let to = map.required("to", yaml::placed(yaml::text));
        paths.extend(from.clone());
        if let Some(to) = &to {
            if let Err(error) = MemberPath::new(format!("files/{}", to.value)) {
                map.problem(
                    to.place,
                    format!("cannot be a file's name in the bundle: {}", error.reason),
                );
            } else if !seen.insert(to.value.to_lowercase()) {
                map.problem(to.place, "this is the name of another file already");
            }
        }
        map.finish();
        Some(FileSpec { from: from?, to: to? })
    };
    yaml::list(file)(node, problems)
}

fn verifiers(
    node: &Node,
    problems: &mut Problems,
    paths: &mut Vec<Placed<String>>,
) -> Option<Vec<Placed<VerifierSpec>>> {
    let verifier = |node: &Node, problems: &mut Problems| {
        let text = yaml::text(node, problems)?;
        if text == "self" {
            return Some(VerifierSpec::Beside);
        }
        paths.push(Placed {
            place: node.place,
            value: text.clone(),
        });
        Some(VerifierSpec::Path(text))
    };
    let list = yaml::list(yaml::placed(verifier))(node, problems)?;
    if list.is_empty() {
        problems.add(
            node.place,
            "no verifier: name `self` or the path of one for each platform",
        );
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r"
apiVersion: bundle/v1
name: smoke
platforms: [linux/arm64, linux/amd64]
images:
  - docker.io/library/nginx:1.29
  - name: registry.k8s.io/pause:3.10
    from: registry.example:5000/pause:3.10
  - name: busybox:1.37
    archive: images/busybox.tar
registries:
  registry.example:5000: {ca: ca.pem, username: u, passwordFile: pw}
  index.docker.io: {mirror: http://mirror.example/hub}
smoke: {image: nginx:1.29}
crictl: {runtime-endpoint: unix:///run/containerd/containerd.sock, timeout: 10, debug: false}
manifests: [builtin:smoke, deploy/*.yaml]
files: [{from: docs/runbook.pdf, to: runbook.pdf}]
verifier: [self, ../verifier-arm64]
";

    fn refused(text: &str) -> String {
        spec("bundle.yaml", text).0.unwrap_err().to_string()
    }

    #[test]
    fn the_whole_of_the_interface_is_read() {
        let (spec, paths) = spec("bundle.yaml", WHOLE);
        let spec = spec.unwrap();
        assert_eq!(spec.platforms[0].to_string(), "linux/amd64");
        assert_eq!(spec.images[1].source.from(), "registry.example:5000/pause:3.10");
        assert_eq!(spec.images[2].name.value.name(), "docker.io/library/busybox:1.37");
        assert_eq!(spec.images[2].source.from(), "images/busybox.tar");
        assert_eq!(
            spec.registries["docker.io"].mirror.as_ref().unwrap().prefix,
            "hub/"
        );
        assert_eq!(spec.smoke.unwrap().name(), "docker.io/library/nginx:1.29");
        assert_eq!(spec.crictl.unwrap().settings[1], ("timeout", "10".to_owned()));
        assert_eq!(
            spec.verifier[1].value,
            VerifierSpec::Path("../verifier-arm64".to_owned())
        );
        let paths: Vec<&str> = paths.iter().map(|path| path.value.as_str()).collect();
        assert_eq!(
            paths,
            [
                "images/busybox.tar",
                "ca.pem",
                "pw",
                "docs/runbook.pdf",
                "../verifier-arm64"
            ]
        );
    }

    #[test]
    fn a_serial_and_a_time_are_the_specs_own() {
        let base =
            "apiVersion: bundle/v1\nname: a\nplatforms: [linux/amd64]\nverifier: [self]\nimages: [b:1]\n";
        let plain = spec("b", base).0.unwrap();
        assert_eq!((plain.serial, plain.created), (None, None));
        let given = format!("{base}serial: 7\ncreated: 2026-11-30T09:00:00Z\n");
        let given = spec("b", &given).0.unwrap();
        assert_eq!(given.serial, Some(7));
        assert_eq!(given.created.unwrap().to_string(), "2026-11-30T09:00:00Z");
        let bad = refused(&format!("{base}serial: 9007199254740992\ncreated: yesterday\n"));
        assert!(
            bad.contains("at most 9007199254740991") && bad.contains("2026-11-30T09:00:00Z"),
            "{bad}"
        );
        assert!(refused(&format!("{base}serial: -1\n")).contains("out of range"));
    }

    #[test]
    fn all_problems_come_at_once_with_their_places() {
        insta::assert_snapshot!(refused(
            r"apiVersion: bundle/v2
name: 1.0
platform: [linux/amd64]
images:
  - NGINX
  - nginx:1
  - docker.io/library/nginx:1
  - {name: a:1, form: b:1}
  - {name: c:1, from: d:1, archive: e.tar}
registries:
  https://x.example: {}
  r.example: {plainHttp: true, ca: ca.pem, username: me}
  m.example: {mirror: mirror.example}
smoke: {image: other:1}
crictl: {timeout: ten, endpoint: x}
files: [{from: a, to: ../b}, {from: a, to: c}, {from: d, to: C}]
verifier: []
"
        ));
    }

    #[test]
    fn an_image_may_be_for_some_nodes_only_but_for_the_suites() {
        let base = "apiVersion: bundle/v1\nname: a\nplatforms: [linux/amd64]\nverifier: [self]\nmanifests: ['builtin:smoke']\n";
        let given =
            format!("{base}images: [nginx:1, {{name: cuda:1, nodes: ['gpu-*', 'role:control-plane']}}]\n");
        let given = spec("b", &given).0.unwrap();
        let nodes = given.image_nodes().unwrap();
        let names: Vec<_> = nodes
            .images()
            .map(|(name, patterns)| (name, patterns.len()))
            .collect();
        assert_eq!(names, [("docker.io/library/cuda:1", 2)]);
        let everywhere = spec("b", &format!("{base}images: [nginx:1]\n")).0.unwrap();
        assert_eq!(everywhere.image_nodes(), None);
        let suites = refused(&format!("{base}images: [{{name: nginx:1, nodes: [node-0]}}]\n"));
        assert!(suites.contains("this is the suite's image"), "{suites}");
        let bad = refused(&format!(
            "{base}images: [nginx:1, {{name: b:1, nodes: []}}, {{name: c:1, nodes: ['role:master']}}]\n"
        ));
        assert!(
            bad.contains("the list is empty") && bad.contains("role:control-plane"),
            "{bad}"
        );
    }

    #[test]
    fn the_suite_runs_the_only_nginx_or_asks() {
        let base = "apiVersion: bundle/v1\nname: a\nplatforms: [linux/amd64]\nverifier: [self]\nmanifests: ['builtin:smoke']\n";
        let one = format!("{base}images: [nginx:1, mirror.example/my-nginx:1]\n");
        let one = spec("b", &one).0.unwrap();
        assert_eq!(one.smoke.unwrap().name(), "docker.io/library/nginx:1");
        let none = refused(&format!("{base}images: [busybox:1]\n"));
        assert!(none.starts_with("bundle.yaml:5:13: 0 images"), "{none}");
        let two = refused(&format!("{base}images: [nginx:1, q.example/nginx:1]\n"));
        assert!(two.starts_with("bundle.yaml:5:13: 2 images"), "{two}");
        let without = base.replace("manifests: ['builtin:smoke']\n", "images: [busybox:1]\n");
        assert!(spec("b", &without).0.unwrap().smoke.is_none());
    }
}
