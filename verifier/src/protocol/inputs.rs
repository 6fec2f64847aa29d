//! Which files a program reads when it starts, by its arguments. Certificates and kubeconfigs are not among them: what is wrong
//! with those has checks of its own.

use super::Input;
use super::host::flag;

/// Flags that name a file which is read at the start and never again.
const ONCE: [&str; 8] = [
    "config",
    "config-file",
    "encryption-provider-config",
    "audit-policy-file",
    "admission-control-config-file",
    "service-account-key-file",
    "service-account-signing-key-file",
    "service-account-private-key-file",
];
/// Flags that name a file which is read again where it changes.
const WATCHED: [&str; 2] = ["authentication-config", "authorization-config"];
/// Says that a file of [`ONCE`] is read again.
const RELOADED: (&str, &str) = (
    "encryption-provider-config",
    "encryption-provider-config-automatic-reload",
);
/// Programs that read this file where they are told of no other, and do without.
const USUAL: [(&str, &str); 2] = [
    ("containerd", "/etc/containerd/config.toml"),
    ("crio", "/etc/crio/crio.conf"),
];

/// Returns the files that a program reads when it starts.
pub(crate) fn inputs(program: &str, arguments: &[&str]) -> Vec<Input> {
    let value = |name: &str| flag(arguments.iter().copied(), name);
    let named = |name: &'static str, once: bool| {
        let path = value(name).filter(|path| path.starts_with('/'))?;
        let is_reloaded = name == RELOADED.0
            && arguments.iter().any(|argument| {
                let text = argument.trim_start_matches('-');
                let rest = text.strip_prefix(RELOADED.1);
                rest.is_some_and(|rest| matches!(rest, "" | "=true" | "=1"))
            });
        Some(Input {
            path: path.to_owned(),
            once: once && !is_reloaded,
            optional: false,
        })
    };
    let once = ONCE.iter().filter_map(|name| named(name, true));
    let watched = WATCHED.iter().filter_map(|name| named(name, false));
    let mut found: Vec<Input> = once.chain(watched).collect();
    if let Some((_, usual)) = USUAL.iter().find(|(name, _)| *name == program)
        && value("config").is_none()
    {
        let named = value("c");
        found.push(Input {
            path: named.unwrap_or(usual).to_owned(),
            once: true,
            optional: named.is_none(),
        });
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(program: &str, arguments: &[&str]) -> Vec<(String, bool)> {
        let found = inputs(program, arguments);
        found.into_iter().map(|input| (input.path, input.once)).collect()
    }

    #[test]
    fn files_are_found_by_their_flags_and_certificates_are_not_among_them() {
        let api_server = [
            "/usr/local/bin/kube-apiserver",
            "--encryption-provider-config=/e.yaml",
            "--authorization-config",
            "/a.yaml",
            "--tls-cert-file=/c.crt",
            "--audit-policy-file=relative.yaml",
        ];
        let found = [("/a.yaml".to_owned(), false), ("/e.yaml".to_owned(), true)];
        assert_eq!(of("kube-apiserver", &api_server), found);
        let reloads = [
            "--encryption-provider-config=/e.yaml",
            "--encryption-provider-config-automatic-reload=true",
        ];
        assert_eq!(of("kube-apiserver", &reloads), [("/e.yaml".to_owned(), false)]);
        assert_eq!(
            of("kubelet", &["--config", "/k.yaml"]),
            [("/k.yaml".to_owned(), true)]
        );
    }

    #[test]
    fn a_runtime_reads_its_usual_file_unless_told_of_another() {
        let usual = inputs("containerd", &["/usr/bin/containerd"]);
        assert!(usual[0].optional && usual[0].path == "/etc/containerd/config.toml");
        let other = inputs("containerd", &["/usr/bin/containerd", "-c", "/other.toml"]);
        assert!(other.len() == 1 && !other[0].optional && other[0].path == "/other.toml");
    }
}
