//! What an API server encrypts with what. Of the file nothing leaves but the names of resources, providers and keys.

use std::path::{Path, PathBuf};

use procfs::process::Process;
use yaml::Node;

use super::{CONFIGURATION, flag, found, within};
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::host::facts::FactError;
use crate::protocol::{EncryptionEntry, EncryptionRules, EncryptionRulesReply, SettingReply};

/// The flag that names the file of `EncryptionConfiguration`; k3s keeps its own, and gives no flag.
const FLAG: &str = "encryption-provider-config";
const INSIDE: &str = "server/cred/encryption-config.json";
/// The providers that name their keys.
const KEYED: [&str; 3] = ["aescbc", "aesgcm", "secretbox"];
/// No file has more of anything.
const MOST: usize = 512;
/// No name is longer.
const LONGEST: usize = 320;

/// The file of a process.
enum File {
    /// It was given none.
    None,
    /// It is there.
    Read(Vec<Node>),
    /// It cannot be read, or is none.
    Unread(String),
}

fn file(name: &str, arguments: &[String], root: &Path) -> File {
    let inside = CONTROL_PLANE_INSIDE.contains(&name);
    let path = flag(arguments, FLAG).or_else(|| {
        let data = flag(arguments, "data-dir").unwrap_or_else(|| "/var/lib/rancher/k3s".to_owned());
        inside.then(|| format!("{data}/{INSIDE}"))
    });
    let Some(path) = path else { return File::None };
    match CONFIGURATION.read_text(&within(root, &path)) {
        // The parser's own words quote the file.
        Ok(text) => {
            let documents = yaml::documents(&path, &text);
            documents.map_or_else(|_| File::Unread(format!("{path} is no YAML")), File::Read)
        }
        Err(error) if inside && error.kind() == std::io::ErrorKind::NotFound => File::None,
        Err(error) => File::Unread(format!("{path}: {error}")),
    }
}

/// Returns what a process encrypts Secrets with.
pub(super) fn of_secrets(name: &str, arguments: &[String], root: &Path) -> SettingReply {
    let provider = match file(name, arguments, root) {
        File::None => return found(None),
        File::Read(documents) => provider(&documents),
        File::Unread(_) => None,
    };
    match provider {
        Some(provider) => found(Some(provider)),
        None => SettingReply {
            value: None,
            unread: true,
        },
    }
}

/// Returns the first provider for Secrets, which is the one that writes, with the name of its first key: `aescbc:key1`.
fn provider(documents: &[Node]) -> Option<String> {
    let of_secrets = |entry: &&Node| {
        let names = entry.get("resources").map(Node::items).unwrap_or_default();
        let mut names = names.iter().filter_map(Node::scalar);
        names.any(|name| matches!(name, "secrets" | "*." | "*.*"))
    };
    let entries = documents.first()?.get("resources")?;
    if entries.scalar().is_some() {
        return None;
    }
    let Some(entry) = entries.items().iter().find(of_secrets) else {
        return Some("identity".to_owned());
    };
    let first = entry.get("providers")?.items().first()?;
    let known = ["aescbc", "aesgcm", "secretbox", "kms", "identity"];
    let (kind, settings) = known.iter().find_map(|kind| Some((*kind, first.get(kind)?)))?;
    let keys = settings.get("keys").map(Node::items).unwrap_or_default();
    let key = keys.first().and_then(|key| key.get("name")?.scalar());
    Some(key.map_or_else(|| kind.to_owned(), |key| format!("{kind}:{key}")))
}

/// Returns what a process encrypts with what.
pub(crate) fn encryption_rules(ask: &EncryptionRules) -> Result<EncryptionRulesReply, FactError> {
    let process = Process::new(ask.pid).map_err(FactError::Processes)?;
    let arguments = process.cmdline().map_err(FactError::Processes)?;
    let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
    let root = PathBuf::from(format!("/proc/{}/root", ask.pid));
    Ok(rules(&name, &arguments, &root))
}

fn rules(name: &str, arguments: &[String], root: &Path) -> EncryptionRulesReply {
    let unread = |reason: String| EncryptionRulesReply::Unread {
        reason: reason.into(),
    };
    match file(name, arguments, root) {
        File::None => EncryptionRulesReply::Absent,
        File::Unread(reason) => unread(reason),
        File::Read(documents) => match entries(&documents) {
            Some(entries) => EncryptionRulesReply::Rules { entries },
            None => unread("it is no EncryptionConfiguration".to_owned()),
        },
    }
}

fn entries(documents: &[Node]) -> Option<Vec<EncryptionEntry>> {
    let entries = documents.first()?.get("resources")?;
    let entries = entries.items().iter().take(MOST).map(|entry| {
        let resources = entry.get("resources")?.items().iter();
        let resources = resources.filter_map(Node::scalar).take(MOST);
        let mut writers = Vec::new();
        for provider in entry.get("providers")?.items().iter().take(MOST) {
            writers.extend(writers_of(provider)?);
        }
        Some(EncryptionEntry {
            resources: resources.map(short).collect(),
            writers,
        })
    });
    let entries: Vec<EncryptionEntry> = entries.collect::<Option<_>>()?;
    let is_whole = |entry: &EncryptionEntry| !entry.resources.is_empty() && !entry.writers.is_empty();
    (!entries.is_empty() && entries.iter().all(is_whole)).then_some(entries)
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Returns what the keys of a provider write before values (`k8s.io/apiserver/pkg/server/options/encryptionconfig`).
fn writers_of(provider: &Node) -> Option<Vec<String>> {
    if provider.get("identity").is_some() {
        return Some(vec![String::new()]);
    }
    if let Some(kms) = provider.get("kms") {
        let name = short(kms.get("name")?.scalar()?);
        let version = kms.get("apiVersion").and_then(Node::scalar).unwrap_or("v1");
        return Some(vec![format!("k8s:enc:kms:{}:{name}:", short(version))]);
    }
    let (kind, settings) = KEYED.iter().find_map(|kind| Some((*kind, provider.get(kind)?)))?;
    let keys = settings.get("keys")?.items().iter().take(MOST);
    let writers = keys.map(|key| {
        let name = short(key.get("name")?.scalar()?);
        Some(format!("k8s:enc:{kind}:v1:{name}:"))
    });
    writers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> EncryptionRulesReply {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/conf"), text).unwrap();
        let given = ["--encryption-provider-config=/etc/conf".to_owned()];
        rules("kube-apiserver", &given, root.path())
    }

    #[test]
    fn each_key_is_told_by_what_it_writes_and_no_key_leaves() {
        let text = "resources:\n- resources: [secrets, widgets.example.com]\n  providers:\n  \
             - aescbc: {keys: [{name: key2, secret: c2VjcmV0}, {name: key1, secret: c2VjcmV0}]}\n  \
             - secretbox: {keys: [{name: box, secret: c2VjcmV0}]}\n  - kms: {apiVersion: v2, name: vault, endpoint: unix:///x}\n  \
             - kms: {name: old, endpoint: unix:///x}\n  - identity: {}\n";
        let EncryptionRulesReply::Rules { entries } = told(text) else {
            panic!("{:?}", told(text));
        };
        assert_eq!(entries[0].resources, ["secrets", "widgets.example.com"]);
        assert_eq!(
            entries[0].writers,
            [
                "k8s:enc:aescbc:v1:key2:",
                "k8s:enc:aescbc:v1:key1:",
                "k8s:enc:secretbox:v1:box:",
                "k8s:enc:kms:v2:vault:",
                "k8s:enc:kms:v1:old:",
                ""
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_understood_is_unread_and_none_is_absent() {
        for text in [
            "",
            "{",
            "resources: 7",
            "resources: []",
            "resources: [{resources: [secrets]}]",
            "resources: [{resources: [secrets], providers: []}]",
            "resources: [{resources: [secrets], providers: [{rot13: {}}]}]",
        ] {
            assert!(
                matches!(told(text), EncryptionRulesReply::Unread { .. }),
                "{text}"
            );
        }
        let none = Path::new("/none");
        assert_eq!(rules("kube-apiserver", &[], none), EncryptionRulesReply::Absent);
        let gone = ["--encryption-provider-config=/etc/none".to_owned()];
        let told = rules("kube-apiserver", &gone, none);
        assert!(matches!(told, EncryptionRulesReply::Unread { .. }));
        // k3s without --secrets-encryption has no such file.
        assert_eq!(rules("k3s-server", &[], none), EncryptionRulesReply::Absent);
    }

    #[test]
    fn an_api_server_s_first_provider_is_told_and_no_key_leaves() {
        let told = |file: &str, arguments: &[&str]| {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("etc")).unwrap();
            std::fs::write(root.path().join("etc/conf"), file).unwrap();
            let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
            of_secrets("kube-apiserver", &arguments, root.path())
        };
        let given = ["--encryption-provider-config=/etc/conf"];
        let page = "kind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  \
                    - aescbc: {keys: [{name: key1, secret: c2VjcmV0}]}\n  - identity: {}\n";
        assert_eq!(told(page, &given).value.as_deref(), Some("aescbc:key1"));
        // RKE2 and k3s write JSON.
        let json = r#"{"resources":[{"resources":["secrets"],"providers":[{"identity":{}},{"aescbc":{"keys":[]}}]}]}"#;
        assert_eq!(told(json, &given).value.as_deref(), Some("identity"));
        let others = "resources:\n- resources: [configmaps]\n  providers: [{identity: {}}]\n";
        assert_eq!(told(others, &given).value.as_deref(), Some("identity"));
        let kms =
            "resources:\n- resources: ['*.*']\n  providers: [{kms: {name: vault, endpoint: unix:///x}}]\n";
        assert_eq!(told(kms, &given).value.as_deref(), Some("kms"));
        assert_eq!(told("", &[]), SettingReply::default());
        assert!(told("", &["--encryption-provider-config=/etc/none"]).unread);
        assert!(told("resources: 7", &given).unread);
    }
}
