//! The local files that a spec names, read and checked before any network: CAs, passwords, verifiers, manifests, files.
//!
//! Whatever is wrong with them is a problem at the place where the spec names them; all come at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::{Digest, Kind, MemberPath, Platform, UserFile};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrets::{Secret, Wiped};
use yaml::{Place, Placed, Problems};

use crate::manifests::{self, Packed};
use crate::plan::{Content, Local};
use crate::registry::{Login, Settings};
use crate::spec::{BUILTIN_SMOKE, RegistrySpec, Spec, VerifierSpec};
use crate::{bills, elf, glob, render};

const PASSWORD: UserFile = UserFile::new("a password file", 4 << 10);
const CERTIFICATES: UserFile = UserFile::new("a file of certificates", 4 << 20);
/// As long as YAML may be.
const MANIFEST: UserFile = UserFile::new("a file of Kubernetes objects", 8 << 20);

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) members: Vec<Local>,
    pub(crate) registries: BTreeMap<String, Settings>,
    /// The user's manifests by the name under which problems are told, to be held against the digests later.
    pub(crate) manifests: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
    /// Files that were read, or will be, and are no members.
    pub(crate) reads: Vec<PathBuf>,
}

/// Where the spec is and what stands beside the program.
pub(crate) struct Places<'a> {
    /// The spec's name in problems.
    pub(crate) file: &'a str,
    /// The directory that relative paths start at.
    pub(crate) base: &'a Path,
    /// What `self` among the verifiers means.
    pub(crate) verifier: &'a Path,
}

struct Loader<'a> {
    places: &'a Places<'a>,
    problems: Problems,
    inputs: Inputs,
}

/// Names the paths that are not there.
pub(crate) fn missing(paths: &[Placed<String>], places: &Places<'_>, problems: &mut Problems) {
    for path in paths {
        let file = places.base.join(&path.value);
        if let Err(error) = fs::metadata(&file) {
            problems.add(path.place, unreadable(&file, &error));
        }
    }
}

/// Says that a file which the spec names cannot be read. What is no file's name is not shown: it may be a password that
/// stands where its file should.
fn unreadable(path: &Path, error: &io::Error) -> String {
    if fs::symlink_metadata(path).is_ok() {
        format!("cannot read {}: {error}", path.display())
    } else {
        format!("the file that this names, from the spec's directory, cannot be read: {error}")
    }
}

/// Reads everything that the spec names on this machine.
pub(crate) fn load(spec: &Spec, places: &Places<'_>) -> Result<Inputs, Problems> {
    let mut loader = Loader {
        places,
        problems: Problems::new(places.file),
        inputs: Inputs::default(),
    };
    for (host, registry) in &spec.registries {
        let settings = loader.registry(registry);
        loader.inputs.registries.insert(host.clone(), settings);
    }
    loader.verifiers(spec);
    loader.suite(spec);
    for entry in spec.manifests.iter().filter(|entry| entry.value != BUILTIN_SMOKE) {
        loader.manifests(spec, entry);
    }
    for file in &spec.files {
        let path = loader.places.base.join(&file.from.value);
        if let Ok(to) = MemberPath::new(format!("files/{}", file.to.value)) {
            loader.file(&path, file.from.place, Kind::File, to);
        }
    }
    loader.bills();
    let Loader { problems, inputs, .. } = loader;
    problems.into_result(Some(inputs))
}

impl Loader<'_> {
    fn registry(&mut self, spec: &RegistrySpec) -> Settings {
        let ca = spec.ca.as_ref().map(|ca| self.ca(ca)).unwrap_or_default();
        let password = spec.password_file.as_ref().and_then(|path| self.password(path));
        let login = spec.username.clone().zip(password);
        Settings {
            ca,
            plain_http: spec.plain_http,
            mirror: spec.mirror.clone(),
            login: login.map(|(username, password)| Login::Password { username, password }),
        }
    }

    fn ca(&mut self, path: &Placed<String>) -> Vec<Vec<u8>> {
        let Some(pem) = self.read(path, CERTIFICATES) else {
            return Vec::new();
        };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match read {
            Ok(list) if !list.is_empty() => list.iter().map(|der| der.as_ref().to_vec()).collect(),
            Ok(_) => self.refuse(path.place, format!("{} holds no certificate (PEM)", path.value)),
            // Not the parser's words: they hold the line, which may be one of a key.
            Err(_) => self.refuse(path.place, format!("{} is not PEM", path.value)),
        }
    }

    fn password(&mut self, path: &Placed<String>) -> Option<Secret> {
        if let Some(mode) = bundle::mode_for_others(&self.places.base.join(&path.value)) {
            self.inputs.warnings.push(format!(
                "other users of this machine can read the password file {} (mode {mode:03o})",
                path.value
            ));
        }
        let bytes = Wiped::new(self.read(path, PASSWORD)?);
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(Secret::new(text.trim_end_matches(['\n', '\r']))),
            Err(_) => self.refuse(path.place, format!("{} is not UTF-8", path.value)),
        }
    }

    fn verifiers(&mut self, spec: &Spec) {
        let mut found: BTreeMap<Platform, Place> = BTreeMap::new();
        for entry in &spec.verifier {
            let path = match &entry.value {
                VerifierSpec::Beside => self.places.verifier.to_owned(),
                VerifierSpec::Path(path) => self.places.base.join(path),
            };
            let Some(platform) = self.verifier(&path, entry) else {
                continue;
            };
            if let Some(first) = found.insert(platform.clone(), entry.place) {
                self.problems.add(
                    entry.place,
                    format!("a second verifier for {platform}, after line {}", first.line),
                );
            }
        }
        for platform in &spec.platforms {
            let wanted = platform.normalized();
            let covered = |one: &Platform| {
                let one = one.normalized();
                (one.os, one.architecture) == (wanted.os.clone(), wanted.architecture.clone())
            };
            if !found.is_empty() && !found.keys().any(covered) {
                self.inputs.warnings.push(format!(
                    "no verifier for {platform}: its nodes can be loaded only by hand (add one to verifier in the spec)"
                ));
            }
        }
    }

    /// Carries the bills of materials of the programs; what is wrong with one is a warning.
    fn bills(&mut self) {
        let mut programs = Vec::new();
        for member in self
            .inputs
            .members
            .iter()
            .filter(|member| member.kind == Kind::Verifier)
        {
            if let Content::File(path) = &member.content {
                programs.push((path.clone(), member.path.as_str().to_owned(), member.sha256));
            }
        }
        programs.extend(self.bundler());
        for (path, name, sha256) in programs {
            let taken = |bill: &Local| self.inputs.members.iter().any(|member| member.path == bill.path);
            match bills::beside(&path, &name, &sha256) {
                Ok(Some(bill)) if !taken(&bill) => self.inputs.members.push(bill),
                Ok(_) => {}
                Err(error) => {
                    let warning = format!("no bill of materials for {name}: {}", cli::chain(&error));
                    self.inputs.warnings.push(warning);
                }
            }
        }
    }

    /// Returns the program beside our verifier, with its name and hash, if it has a bill.
    fn bundler(&self) -> Option<(PathBuf, String, Digest)> {
        let program = self.places.verifier.with_file_name("bundler");
        let name = MemberPath::new("bundler").ok()?;
        if !program.with_file_name("bundler.cdx.json").exists() {
            return None;
        }
        let local = Local::file(&program, Kind::File, name.clone(), 0o755).ok()?;
        Some((program, name.as_str().to_owned(), local.sha256))
    }

    fn verifier(&mut self, path: &Path, entry: &Placed<VerifierSpec>) -> Option<Platform> {
        let mut head = Vec::new();
        let read =
            bundle::open_regular(path).and_then(|file| file.take(elf::HEAD as u64).read_to_end(&mut head));
        if let Err(error) = read {
            let beside = entry.value == VerifierSpec::Beside;
            let hint = if beside {
                ": `self` is the file `verifier` beside the running bundler"
            } else {
                ""
            };
            return self.refuse(entry.place, format!("{}{hint}", unreadable(path, &error)));
        }
        let platform = match elf::platform(&head) {
            Ok(platform) => platform,
            Err(error) => {
                return self.refuse(entry.place, format!("{} is no verifier: {error}", path.display()));
            }
        };
        let name = format!("verifier-{}-{}", platform.os, platform.architecture);
        let name = self.member_path(entry.place, &name)?;
        self.file(path, entry.place, Kind::Verifier, name);
        Some(platform)
    }

    fn suite(&mut self, spec: &Spec) {
        let mut texts = Vec::new();
        if let Some(smoke) = spec.smoke.as_ref().filter(|_| spec.has_smoke()) {
            match render::smoke(&smoke.name()) {
                Ok(files) => {
                    let path = |name| format!("manifests/smoke/{name}");
                    texts.extend(
                        files
                            .into_iter()
                            .map(|(name, text)| (path(name), Kind::Manifest, text)),
                    );
                }
                Err(error) => self.problems.add(Place::START, error.to_string()),
            }
        }
        if let Some(crictl) = &spec.crictl {
            match render::crictl(crictl) {
                Ok(text) => texts.push(("config/crictl.yaml".to_owned(), Kind::Config, text)),
                Err(error) => self.problems.add(Place::START, error.to_string()),
            }
        }
        if let Some(nodes) = spec.image_nodes() {
            let text = String::from_utf8_lossy(&nodes.to_json()).into_owned();
            texts.push((bundle::nodes::NODES.to_owned(), Kind::Config, text));
        }
        for (path, kind, text) in texts {
            let path = self.member_path(Place::START, &path);
            self.inputs
                .members
                .extend(path.map(|path| Local::bytes(path, kind, text.into_bytes())));
        }
    }

    fn manifests(&mut self, spec: &Spec, entry: &Placed<String>) {
        let found = match glob::expand(self.places.base, &entry.value) {
            Ok(found) => found,
            Err(error) => return self.refuse(entry.place, cli::chain(&error)),
        };
        if found.is_empty() {
            self.problems.add(entry.place, "no file matches this");
        }
        let packed = packed(spec);
        for path in found {
            self.manifest(&path, entry.place, &packed);
        }
    }

    fn manifest(&mut self, path: &Path, place: Place, packed: &[Packed]) {
        let shown = path.display().to_string();
        let file = self.places.base.join(path);
        let text = match MANIFEST.read_text(&file) {
            Ok(text) => text,
            Err(error) => return self.refuse(place, format!("cannot read {shown}: {error}")),
        };
        self.inputs.reads.push(file);
        match manifests::check(&shown, &text, packed) {
            Ok(warnings) => self.inputs.warnings.extend(warnings),
            Err(problems) => self.problems.append(problems),
        }
        let name = manifest_name(path);
        if name.starts_with("manifests/smoke/") {
            return self.refuse(
                place,
                format!("{shown}: manifests/smoke/ in the bundle belongs to builtin:smoke: move the file"),
            );
        }
        let Some(name) = self.member_path(place, &name) else {
            return;
        };
        if self
            .inputs
            .members
            .iter()
            .any(|member| member.path.folded() == name.folded())
        {
            return self.refuse(place, format!("{shown}: {name} is in the bundle already"));
        }
        self.inputs
            .members
            .push(Local::bytes(name, Kind::Manifest, text.clone().into_bytes()));
        self.inputs.manifests.push((shown, text));
    }

    /// Adds a file of the disk as a member.
    fn file(&mut self, path: &Path, place: Place, kind: Kind, name: MemberPath) {
        match Local::file(path, kind, name, mode(path, kind)) {
            Ok(local) => self.inputs.members.push(local),
            Err(error) => self.problems.add(place, unreadable(path, &error)),
        }
    }

    fn read(&mut self, path: &Placed<String>, kind: UserFile) -> Option<Vec<u8>> {
        let file = self.places.base.join(&path.value);
        kind.read(&file)
            .map_err(|error| self.problems.add(path.place, unreadable(&file, &error)))
            .ok()
    }

    fn member_path(&mut self, place: Place, path: &str) -> Option<MemberPath> {
        MemberPath::new(path)
            .map_err(|error| self.problems.add(place, error.to_string()))
            .ok()
    }

    /// Notes a problem and gives nothing.
    fn refuse<T: Default>(&mut self, place: Place, problem: impl Display) -> T {
        self.problems.add(place, problem.to_string());
        T::default()
    }
}

/// Returns the images of the spec, their digests where the spec itself says them.
fn packed(spec: &Spec) -> Vec<Packed> {
    let packed = |image: &crate::spec::ImageSpec| Packed {
        name: image.name.value.clone(),
        digest: match &image.source {
            crate::spec::Source::Registry(from) => from.digest(),
            crate::spec::Source::Archive(_) => None,
        },
    };
    spec.images.iter().map(packed).collect()
}

/// Returns a manifest's name in the bundle: its path as the spec sees it, or its file name where that leads outside.
fn manifest_name(path: &Path) -> String {
    let plain = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let kept = if plain {
        path
    } else {
        path.file_name().map_or(path, Path::new)
    };
    format!("manifests/{}", kept.display())
}

/// Returns the mode that a file has in the bundle.
fn mode(path: &Path, kind: Kind) -> u32 {
    let executable = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0);
    if kind == Kind::Verifier || executable {
        0o755
    } else {
        0o644
    }
}

/// Returns the directory that holds a file: `.` where its name has none.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
